"""Scores models over training sets: stored rows are read, and missing ones are scored by an executor and stored."""
