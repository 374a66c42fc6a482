"""Rates by the number of copies of an example in the training set."""

from __future__ import annotations

from pytest_kdmem.auditing.figures.strata import how_drawn
from pytest_kdmem.auditing.schema_figures import FigureEntry
from pytest_kdmem.auditing.scored_audit import ScoredAudit


def copies_figures(scored: ScoredAudit) -> tuple[FigureEntry, ...]:
    """Return a rate for each model and tier of copies; none over a set of a single tier, whose rate stands alone."""
    return tuple(
        FigureEntry("copies", label, tier, subset.rate, how_drawn(memorization, "copies") if place == 0 else "")
        for label, memorization in scored.own_memorizations.items()
        if sum(subset.rate.n > 0 for subset in memorization.by_copies.values()) > 1
        for place, (tier, subset) in enumerate(memorization.by_copies.items())
    )
