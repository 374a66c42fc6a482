"""Canaries: random strings that are put into a training set, with twins that are left out, to measure what leaks."""
