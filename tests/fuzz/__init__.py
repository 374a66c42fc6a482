"""Damages valid files of every kind that the package reads, and reads them: `python -m tests.fuzz --inputs 100000`."""
