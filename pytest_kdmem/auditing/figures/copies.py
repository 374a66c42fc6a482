"""Rates by the number of copies of an example in the training set."""

from __future__ import annotations

from pytest_kdmem.auditing.schema_figures import FigureEntry
from pytest_kdmem.auditing.scored_audit import ScoredAudit


def copies_figures(scored: ScoredAudit) -> tuple[FigureEntry, ...]:
    """Return a rate for each model and tier of copies.

    There is none over a sample, whose copies are not counted, or over a set of a single tier, whose rate stands alone.
    """
    whole = {label: each for label, each in scored.own_memorizations.items() if each.scores.record.exhaustive}
    tiers = {label: memorization.by_copies for label, memorization in whole.items()}
    return tuple(
        FigureEntry("copies", label, tier, subset.rate)
        for label, by_copies in tiers.items()
        if len(by_copies) > 1
        for tier, subset in by_copies.items()
    )
