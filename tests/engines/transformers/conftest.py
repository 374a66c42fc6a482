"""Fixtures of several test files."""

from tests.engines.transformers.saved_models import llama

__all__ = ["llama"]
