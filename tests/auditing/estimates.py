"""Estimates and tracked metrics for the tests of audits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pytest_kdmem.auditing.regression.metrics import TrackedMetric
from pytest_kdmem.metrics.bounds import Counts, estimate_proportion
from pytest_kdmem.metrics.estimate import Estimate

COMPARABLE_ON = {"training set": "d" * 32, "lengths": "50, 50, 256"}


def rate(k: int, n: int, *, subject: str = "student", exhaustive: bool = False, ambiguous: int = 0) -> Estimate:
    """A memorization rate of k of n examples, with some ambiguous examples that may count as well."""
    counts = Counts(k, n, most=k + ambiguous, ambiguous=ambiguous)
    return estimate_proportion("memorization rate", subject, counts, exhaustive=exhaustive)


def reduction(value: float, low: float, high: float) -> Estimate:
    """A reduction over a sample of 1 000 examples."""
    return Estimate("reduction", "student", value, low, high, None, 1000, unit="factor")


def tracked_rate(
    recited: Iterable[int],
    n: int,
    *,
    model: str = "a",
    ambiguous: Iterable[int] = (),
    exhaustive: bool = True,
    comparable_on: Mapping[str, str] = COMPARABLE_ON,
) -> TrackedMetric:
    """The memorization rate of a student, by the digest of its model and the examples that it recites."""
    hits, uncertain = set(recited), set(ambiguous)
    counts = Counts(len(hits), n, len(hits - uncertain), len(hits | uncertain), len(uncertain))
    estimate = estimate_proportion("memorization rate", "student", counts, exhaustive=exhaustive)
    return TrackedMetric(
        "memorization rate",
        "student",
        estimate,
        n,
        tuple(sorted(hits)),
        tuple(sorted(uncertain)),
        model,
        dict(comparable_on),
    )


def tracked_reduction(value: float, recited: Iterable[int], model: str) -> TrackedMetric:
    """A reduction over a whole set of 1 000 examples, of a student that recites some of them."""
    estimate = Estimate("reduction", "student", value, value, value, None, 1000, exhaustive=True, unit="factor")
    return TrackedMetric("reduction", "student", estimate, 1000, tuple(recited), (), model, dict(COMPARABLE_ON))


def tracked_loss(value: float, model: str, margin: float = 0.0) -> TrackedMetric:
    """A held-out loss with bounds at a distance of ``margin``."""
    estimate = Estimate("loss", "student", value, value - margin, value + margin, None, 500, unit="nats")
    return TrackedMetric("loss", "student", estimate, 0, None, (), model, {"control set": "c"})
