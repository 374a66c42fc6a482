"""A confirmation in a line, the same in every report."""

from __future__ import annotations

import math

from pytest_kdmem.audit.schema import ConfirmationEntry
from pytest_kdmem.base.text import count
from pytest_kdmem.scoring.confirmation import power_of_two_above


def confirmation_line(subject: str, entry: ConfirmationEntry) -> str:
    """Who was asked about a model's verdicts, what they said, and how wide a band that makes."""
    ways: dict[str, list[str]] = {}
    for witness in entry.witnesses:
        ways.setdefault(witness.engine, []).append(witness.way)
    named = ", ".join(f"{engine} {' and '.join(asked)}" for engine, asked in ways.items())
    differing, outside = len(entry.disagreements), sum(not one.get("ambiguous") for one in entry.disagreements)
    said = f"{count(differing)} disagreement{'s' * (differing != 1)}" if differing else "no disagreement"
    said += f", {count(outside)} outside the band" if outside else " inside the band" * bool(differing)
    ambiguous = count(entry.ambiguous_checked)
    if entry.ambiguous is not None and entry.ambiguous != entry.ambiguous_checked:
        ambiguous += f" of {count(entry.ambiguous)}"
    line = f"{subject} {'not ' * bool(outside)}confirmed"
    line += f" by {len(entry.witnesses)} witnesses ({named})" if named else ""
    line += f": {count(entry.checked)} examples, {ambiguous} ambiguous, {said}"
    if entry.claimed_tolerance is not None:
        implied = format_tolerance(entry.implied_tolerance)
        line += f"; tolerance claimed {format_tolerance(entry.claimed_tolerance)}, implied {implied}"
    return line


def format_tolerance(tolerance: float | None) -> str:
    """A tolerance as it is read: ``2^-13``."""
    if tolerance is None:
        return "unknown"
    if not math.isfinite(tolerance) or tolerance <= 0 or power_of_two_above(tolerance) != tolerance:
        return f"{tolerance:.2g}"
    return f"2^{math.frexp(tolerance)[1] - 1}"
