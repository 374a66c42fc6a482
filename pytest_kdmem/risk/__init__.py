"""Predict, before distilling, which training examples a student will memorize, and remove them."""
