"""Estimates and comparisons for the tests of audits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pytest_kdmem.audit.regression.metrics import TrackedMetric
from pytest_kdmem.metrics.bounds import Counts, estimate_proportion
from pytest_kdmem.metrics.estimate import Estimate


def rate(k: int, n: int, *, subject: str = "student", exhaustive: bool = False, ambiguous: int = 0) -> Estimate:
    """A memorization rate of k of n examples, and of so many ambiguous ones beside these."""
    counts = Counts(k, n, most=k + ambiguous, ambiguous=ambiguous)
    return estimate_proportion("memorization rate", subject, counts, exhaustive=exhaustive)


def reduction(value: float, low: float, high: float) -> Estimate:
    return Estimate("reduction", "student", value, low, high, None, 1000, unit="factor")


COMPARABLE_ON = {"training set": "d" * 32, "lengths": "50, 50, 256"}


def recited_rate(
    examples: Any, n: int, *, ambiguous: tuple[int, ...] = (), of: str = "a", exhaustive: bool = True, **changed: Any
) -> TrackedMetric:
    """The rate of a model that recites these examples of n."""
    hits, perhaps = set(examples), set(ambiguous)
    counts = Counts(len(hits), n, len(hits - perhaps), len(hits | perhaps), len(perhaps))
    estimate = estimate_proportion("memorization rate", "student", counts, exhaustive=exhaustive)
    return replace(
        TrackedMetric("memorization rate", "student", estimate, n, tuple(sorted(hits)), ambiguous, of, COMPARABLE_ON),
        **changed,
    )
