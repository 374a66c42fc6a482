"""What became of accepted figures, in the words of every report."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_kdmem.audit.schema import MetricChange
from pytest_kdmem.metrics.estimate import Estimate

OUTCOME_STYLES = {"better": "green", "worse": "red", "undecided": "yellow", "refused": "yellow", "unused": "yellow"}


def change_lines(drift: Sequence[MetricChange], *, whole: bool = True) -> list[tuple[str, str]]:
    """A line and its style for each figure; what stayed the same in one line together unless ``whole``."""
    lines = [
        (change_line(entry), OUTCOME_STYLES.get(entry.outcome, ""))
        for entry in drift
        if whole or entry.outcome != "same"
    ]
    same = sum(entry.outcome == "same" for entry in drift)
    if same and not whole:
        lines.append((f"accepted figures: {same} the same", ""))
    return lines


def change_line(entry: MetricChange) -> str:
    """A figure, what was accepted, how far it has moved, and whether that is worse."""
    what = f"{entry.metric} of {entry.subject}"
    if entry.found is None or entry.accepted is None:
        known = entry.accepted if entry.found is None else entry.found
        figure = known.format_value(known.value) if known is not None else ""
        return f"{entry.outcome}: {what} {figure} ({entry.reason})"
    moved = f"{entry.accepted.format_value(entry.accepted.value)} → {entry.found.format_value(entry.found.value)}"
    if entry.difference is not None and entry.low is not None and entry.high is not None and abs(entry.difference) > 0:
        moved += f", {signed(entry.found, entry.difference)}"
        if entry.low < entry.high:
            moved += f" [{signed(entry.found, entry.low)} to {signed(entry.found, entry.high)}]"
    return f"{entry.outcome}: {what} {moved} ({entry.reason})"


def signed(estimate: Estimate, difference: float) -> str:
    """A difference in the estimate's unit, with its sign."""
    return f"{'+' if difference >= 0 else '−'}{estimate.format_value(abs(difference))}"
