"""Figures with bounds: what a model memorized, and what a student inherited."""
