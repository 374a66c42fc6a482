"""Describes the confirmation of a model's verdicts in one line, the same in every report."""

from __future__ import annotations

import math

from pytest_kdmem.auditing.schema_checks import ConfirmationEntry
from pytest_kdmem.base.text import count
from pytest_kdmem.scoring.confirmation import power_of_two_above


def confirmation_line(subject: str, entry: ConfirmationEntry) -> str:
    """Return which engines checked the verdicts, how many disagreements they found, and the tolerance these imply."""
    outside_band = sum(not disagreement.get("ambiguous") for disagreement in entry.disagreements)
    ambiguous = count(entry.ambiguous_checked)
    if entry.ambiguous is not None and entry.ambiguous != entry.ambiguous_checked:
        ambiguous += f" of {count(entry.ambiguous)}"
    line = f"{subject} {'not ' * bool(outside_band)}confirmed{_checks(entry)}"
    line += f": {count(entry.checked)} examples, {ambiguous} ambiguous, {_disagreements(entry, outside_band)}"
    if entry.claimed_tolerance is not None:
        implied = format_tolerance(entry.implied_tolerance)
        line += f"; tolerance claimed {format_tolerance(entry.claimed_tolerance)}, implied {implied}"
    return line


def _checks(entry: ConfirmationEntry) -> str:
    methods_by_engine: dict[str, list[str]] = {}
    for check in entry.engine_checks:
        methods_by_engine.setdefault(check.engine, []).append(check.method)
    engines = ", ".join(f"{engine} {' and '.join(methods)}" for engine, methods in methods_by_engine.items())
    checks = len(entry.engine_checks)
    return f" by {checks} check{'s' * (checks != 1)} ({engines})" if engines else ""


def _disagreements(entry: ConfirmationEntry, outside_band: int) -> str:
    total = len(entry.disagreements)
    if not total:
        return "no disagreement"
    where = f", {count(outside_band)} outside the band" if outside_band else " inside the band"
    return f"{count(total)} disagreement{'s' * (total != 1)}{where}"


def format_tolerance(tolerance: float | None) -> str:
    """Return a tolerance in logits as a power of two, such as ``2^-13``, or as a decimal number if it is none."""
    if tolerance is None:
        return "unknown"
    if not math.isfinite(tolerance) or tolerance <= 0 or power_of_two_above(tolerance) != tolerance:
        return f"{tolerance:.2g}"
    return f"2^{math.frexp(tolerance)[1] - 1}"
