"""Estimates with bounds: what a model memorized, and what a student inherited from its teacher."""
