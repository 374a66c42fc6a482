"""Turns the comparisons of a test into gates, and into the reasons that the test shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from numbers import Real
from typing import cast

from pytest_kdmem.auditing.messages import next_step, reason
from pytest_kdmem.auditing.regression.accepted import Accepted
from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.auditing.schema import Gate, GatePart
from pytest_kdmem.auditing.verdict import judge
from pytest_kdmem.metrics.direction import MIRRORED, Operator, protects, wrong_way_round
from pytest_kdmem.metrics.estimate import Comparison, Estimate
from pytest_kdmem.metrics.recorder import Recorded, Refused
from pytest_kdmem.metrics.subsets import Subset, Subsets
from pytest_kdmem.metrics.verdict import Verdict


def gate_from(name: str, nodeid: str, comparison: Comparison) -> Gate:
    """The gate that a comparison makes in the test ``name``."""
    (worst, verdict), *further = _judged(comparison)
    return Gate(
        name,
        nodeid,
        worst.estimate.metric,
        worst.estimate,
        worst.operator,
        worst.threshold,
        verdict.outcome,
        reason(worst, verdict),
        next_step(worst, verdict),
        further_parts=tuple(
            GatePart(part.estimate, part.threshold, of_part.outcome, reason(part, of_part)) for part, of_part in further
        ),
        parts_not_held=comparison.parts_not_held,
    )


def _judged(comparison: Comparison) -> list[tuple[Comparison, Verdict]]:
    """A comparison and those of further parts, each with its verdict: those that fail before what is undecided."""
    judged = [(each, judge(each)) for each in (comparison, *comparison.further)]
    return sorted(judged, key=lambda each: each[1].outcome != "fail")


def vacuous_warning(gate: Gate) -> str:
    """Return a warning of a gate that holds whatever a model recites, or an empty string."""
    estimate, threshold = gate.estimate, gate.threshold
    if estimate is None or not isinstance(threshold, int | float):
        return ""
    is_highest = gate.operator == "<=" and estimate.unit == "proportion" and threshold >= 1
    is_lowest = gate.operator == ">=" and estimate.unit in ("proportion", "factor") and threshold <= 0
    if not (is_highest or is_lowest):
        return ""
    beyond = "above" if is_highest else "below"
    return f"{gate.name} cannot fail: no {estimate.metric} is {beyond} {estimate.format_value(threshold)}"


def with_vacuous_gates(result: AuditResult) -> AuditResult:
    """Return a result that warns of its gates that hold whatever a model recites."""
    warnings = filter(None, map(vacuous_warning, result.gates))
    return replace(result, warnings=tuple(dict.fromkeys((*result.warnings, *warnings))))


def unheld_reason(records: Sequence[Recorded]) -> str:
    """Returns why a test that passed must fail all the same, or an empty string if it may pass.

    In an audit every comparison is a gate: it must hold, in the direction that protects, whatever became of its result.
    """
    return next(filter(None, map(_unheld, records)), "")


def _unheld(entry: Recorded) -> str:
    if isinstance(entry, Refused):
        return entry.reason
    assert isinstance(entry, Comparison)
    other = entry.threshold if isinstance(entry.threshold, Estimate) else None
    if not protects(entry.estimate, entry.operator, other):
        return wrong_way_round(entry.estimate, entry.operator, other)
    worst, verdict = _judged(entry)[0]
    if verdict.outcome == "pass":
        return ""
    return (
        f"{reason(worst, verdict)}: every comparison of an estimate is a gate of its audit, and this one does not hold"
    )


def explain(operator: str, left: object, right: object) -> list[str] | None:
    """Explain a failed ``assert left operator right`` with an estimate, or figures of parts, on either side.

    Returns:
        the reason of each part that does not hold and, if there is one, the next step; None if this is no comparison
        of an estimate.
    """
    comparison = _comparison(operator, left, right)
    judged = [] if comparison is None else _judged(comparison)
    lines = [*(reason(*each) for each in judged), *dict.fromkeys(next_step(*each) for each in judged)]
    return [line for line in lines if line] or None


def _comparison(operator: str, left: object, right: object) -> Comparison | None:
    """The comparison that an expression makes, with its estimate on the left; None if it makes none."""
    if operator in MIRRORED and not isinstance(left, Subsets) and isinstance(right, Subsets):
        operator, left, right = MIRRORED[cast(Operator, operator)], right, left
    if operator in ("<=", "<") and isinstance(left, Subsets) and isinstance(right, Subsets | Real):
        sign = cast(Operator, operator)
        return left.as_gate(sign, cast("Subsets[Subset] | float", right))
    if operator not in MIRRORED:
        return None
    if isinstance(left, Estimate):
        return _with_threshold(left, cast(Operator, operator), right)
    return _with_threshold(right, MIRRORED[operator], left) if isinstance(right, Estimate) else None


def _with_threshold(estimate: Estimate, operator: Operator, threshold: object) -> Comparison | None:
    if isinstance(threshold, Accepted):
        return threshold.compare(estimate, operator)
    if isinstance(threshold, Estimate):
        return estimate.compare(operator, threshold)
    return estimate.compare(operator, float(threshold)) if isinstance(threshold, Real) else None
