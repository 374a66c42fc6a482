"""Rates and reductions by group of the training set, the groups of which the student recites most first."""

from __future__ import annotations

from pytest_kdmem.auditing.schema_figures import FigureEntry
from pytest_kdmem.auditing.scored_audit import ScoredAudit
from pytest_kdmem.base.text import count

MOST_GROUPS = 1000


def group_figures(scored: ScoredAudit) -> tuple[FigureEntry, ...]:
    """Return a rate for each model and group; none over a sample, or without a column of groups."""
    parts = {
        label: memorization.by_group
        for label, memorization in scored.own_memorizations.items()
        if memorization.groups is not None and memorization.scores.record.exhaustive
    }
    if not parts:
        return ()
    deciding = parts["student" if "student" in parts else next(iter(parts))]
    names = sorted(deciding, key=lambda name: (-deciding[name].rate.high, name))
    shown, rest = names[:MOST_GROUPS], len(names) - MOST_GROUPS
    note = f"{count(rest)} further groups, of which no more is recited, are not listed" if rest > 0 else ""
    return tuple(
        FigureEntry("group", label, name, by_group[name].rate, note if name == shown[-1] else "")
        for label, by_group in parts.items()
        for name in shown
    )
