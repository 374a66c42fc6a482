"""Audits without pytest: what a Python program or a notebook calls."""
