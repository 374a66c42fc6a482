"""Judges a metric that must be no worse than its accepted value."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pytest_kdmem.auditing.regression.compare import no_worse_operator
from pytest_kdmem.auditing.regression.metrics import TrackedMetric
from pytest_kdmem.auditing.schema_checks import MetricChange
from pytest_kdmem.metrics.verdict import Verdict


@dataclass(frozen=True)
class RegressionVerdict(Verdict):
    """Verdict of a comparison with an accepted value.

    Attributes:
        change: Change from the accepted value; None if the run accepts its own values.
    """

    change: MetricChange | None = None


def accepted_limit(accepted: TrackedMetric, allowed: float) -> float:
    """The accepted bound, with what is allowed beyond it added."""
    return accepted.estimate.bound_for(no_worse_operator(accepted.metric)) + allowed


def judge_change(change: MetricChange, limit: float) -> RegressionVerdict:
    """Judge a metric that was compared with its accepted value and must be no worse than ``limit``."""
    assert change.measured is not None
    assert change.accepted is not None
    if math.isnan(change.measured.value) or math.isnan(change.accepted.value):
        return RegressionVerdict("inconclusive", defined=False, change=change)
    operator = no_worse_operator(change.metric)
    bound = change.measured.bound_for(operator)
    within = bound <= limit if operator == "<=" else bound >= limit
    if within or change.outcome == "same":  # the ambiguous band of one model can differ from run to run
        return RegressionVerdict("pass", change=change)
    return RegressionVerdict("inconclusive" if change.outcome == "undecided" else "fail", change=change)
