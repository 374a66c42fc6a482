"""Finds secrets in text, and tells of which classes those are that stand in the suffix of an example."""
