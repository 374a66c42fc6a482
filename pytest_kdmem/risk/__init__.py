"""Predicted risk: which examples will a student memorize, told before it is distilled."""
