"""Turns the comparisons of a test into gates, and into the reasons that the test shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np

from pytest_kdmem.audit.messages import next_step, reason
from pytest_kdmem.audit.regression.accepted import Accepted
from pytest_kdmem.audit.schema import Gate
from pytest_kdmem.audit.verdict import judge
from pytest_kdmem.metrics.estimate import HIGHER_IS_BETTER, MIRRORED, Comparison, Estimate, Operator, is_undecided


def gate_from(name: str, nodeid: str, comparison: Comparison) -> Gate:
    """The gate that a comparison makes in the test ``name``."""
    verdict = judge(comparison)
    return Gate(
        name,
        nodeid,
        comparison.estimate.metric,
        comparison.estimate,
        comparison.operator,
        comparison.threshold,
        verdict.outcome,
        reason(comparison, verdict),
        next_step(comparison, verdict),
    )


def unproven_reason(comparisons: Sequence[Comparison]) -> str:
    """Returns why a test that passed must fail all the same, or an empty string if it may pass.

    It must fail if it made a comparison that the data decide neither way. It must also fail if no comparison held and
    one of them compared in the direction that a gate requires: then its assert was forgotten rather than negated.
    """
    judged = [(comparison, judge(comparison)) for comparison in comparisons]
    for comparison, verdict in judged:
        if comparison.verdict is not None:
            if verdict.outcome != "pass":
                return f"{reason(comparison, verdict)}: a negated or unused comparison let it pass"
        elif is_undecided(comparison.estimate, comparison.operator, comparison.threshold):
            return f"{reason(comparison, verdict)}: undecided, and a negated or unused comparison let it pass"
    if any(verdict.outcome == "pass" for _, verdict in judged):
        return ""
    for comparison, verdict in judged:
        if (comparison.operator in ("<=", "<")) != (comparison.estimate.metric in HIGHER_IS_BETTER):
            return f"{reason(comparison, verdict)}: it does not hold, and nothing required it to; assert it"
    return ""


def explain(operator: str, left: object, right: object) -> list[str] | None:
    """Explain a failed ``assert left operator right`` with an estimate on either side.

    Returns:
        the reason and, if there is one, the next step; None if this is no comparison of an estimate.
    """
    comparison = _comparison(operator, left, right)
    if comparison is None:
        return None
    verdict = judge(comparison)
    return [line for line in (reason(comparison, verdict), next_step(comparison, verdict)) if line]


def _comparison(operator: str, left: object, right: object) -> Comparison | None:
    """The comparison that an expression makes, with its estimate on the left; None if it makes none."""
    if operator not in MIRRORED:
        return None
    if isinstance(left, Estimate):
        return _with_threshold(left, cast(Operator, operator), right)
    return _with_threshold(right, MIRRORED[operator], left) if isinstance(right, Estimate) else None


def _with_threshold(estimate: Estimate, operator: Operator, threshold: object) -> Comparison | None:
    if isinstance(threshold, Accepted):
        return threshold.compare(estimate, operator)
    if isinstance(threshold, Estimate):
        return Comparison(estimate, operator, threshold)
    return Comparison(estimate, operator, float(threshold)) if isinstance(threshold, int | float | np.number) else None
