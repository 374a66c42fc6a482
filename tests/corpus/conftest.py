"""Fixtures of several test files."""

from tests.corpus.read_otherwise import read

__all__ = ["read"]
