"""Describes how metrics changed against accepted ones, in the words of every report."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_kdmem.auditing.schema_checks import MetricChange
from pytest_kdmem.metrics.estimate import Estimate

OUTCOME_STYLES = {"better": "green", "worse": "red", "undecided": "yellow", "refused": "yellow", "unused": "yellow"}


def change_lines(changes: Sequence[MetricChange], *, show_unchanged: bool = True) -> list[tuple[str, str]]:
    """Return a line and its style for each change.

    Args:
        changes: The changes of one audit.
        show_unchanged: Whether metrics that stayed the same get a line each. Otherwise one line counts them.
    """
    lines = [
        (change_line(change), OUTCOME_STYLES.get(change.outcome, ""))
        for change in changes
        if show_unchanged or change.outcome != "same"
    ]
    unchanged = sum(change.outcome == "same" for change in changes)
    if unchanged and not show_unchanged:
        lines.append((f"accepted figures: {unchanged} the same", ""))
    return lines


def change_line(change: MetricChange) -> str:
    """Return the outcome, the metric, its accepted and its new value, their difference, and the reason."""
    if change.measured is None or change.accepted is None:
        estimate = change.accepted if change.measured is None else change.measured
        value = estimate.format_value(estimate.value) if estimate is not None else ""
        return f"{change.outcome}: {change.name} {value} ({change.reason})"
    values = (
        f"{change.accepted.format_value(change.accepted.value)} → {change.measured.format_value(change.measured.value)}"
    )
    return f"{change.outcome}: {change.name} {values}{_difference(change, change.measured)} ({change.reason})"


def _difference(change: MetricChange, estimate: Estimate) -> str:
    if change.difference is None or change.low is None or change.high is None or not abs(change.difference) > 0:
        return ""
    difference = f", {_signed(estimate, change.difference)}"
    if change.low < change.high:
        difference += f" [{_signed(estimate, change.low)} to {_signed(estimate, change.high)}]"
    return difference


def _signed(estimate: Estimate, difference: float) -> str:
    """Return a difference with its sign, in the estimate's unit; shares in per cent differ by percentage points."""
    size = estimate.format_value(abs(difference))
    points = f"{size.removesuffix('%')} points" if size.endswith("%") else size
    return f"{'+' if difference >= 0 else '−'}{points}"
