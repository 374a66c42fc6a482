"""Rates, inheritance and reduction by group of the training set, the groups of which the student recites most first."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_kdmem.auditing.figures.strata import how_drawn
from pytest_kdmem.auditing.schema_figures import FigureEntry
from pytest_kdmem.auditing.scored_audit import ScoredAudit
from pytest_kdmem.base.text import count

MOST_GROUPS = 1000
# Groups of which more than rates are told.
MOST_INHERITING = 100


def group_figures(scored: ScoredAudit) -> tuple[FigureEntry, ...]:
    """Return the figures of each group; none without a column of groups.

    A group of which no example was looked at has an undefined rate, and stands after the others.
    """
    own = {label: each for label, each in scored.own_memorizations.items() if each.groups is not None}
    if not own:
        return ()
    parts = {label: memorization.by_group for label, memorization in own.items()}
    deciding = parts["student" if "student" in parts else next(iter(parts))]
    names = sorted(deciding, key=lambda name: (not deciding[name].rate.n, -deciding[name].rate.high, name))
    shown, rest = names[:MOST_GROUPS], len(names) - MOST_GROUPS
    notes = {shown[0]: how_drawn(next(iter(own.values())), "group")}
    if rest > 0:
        notes[shown[-1]] = f"{count(rest)} further groups are not listed; none of them has a higher rate"
    rates = tuple(
        FigureEntry("group", label, name, by_group[name].rate, notes.get(name, ""))
        for label, by_group in parts.items()
        for name in shown
    )
    return (*rates, *_inheritances(scored, shown[:MOST_INHERITING]))


def _inheritances(scored: ScoredAudit, names: list[str]) -> Iterator[FigureEntry]:
    """Ratio and reduction of the audit's own inheritance by group."""
    inheritance = scored.inheritance
    own_sets = {memorization.scores.record.digest for memorization in scored.own_memorizations.values()}
    if (
        inheritance is None
        or inheritance.memorizations is None
        or inheritance.comparable_on.get("training set") not in own_sets
    ):
        return
    by_group = inheritance.by_group
    for name in names:
        yield FigureEntry("group", inheritance.subject, f"{name}, inheritance ratio", by_group[name].ratio)
        yield FigureEntry("group", inheritance.subject, f"{name}, reduction", by_group[name].reduction)
