"""Rates of what is recited nearly, beside what is recited exactly."""

from __future__ import annotations

from pytest_kdmem.auditing.schema_figures import FigureEntry
from pytest_kdmem.auditing.scored_audit import ScoredAudit


def near_verbatim_figures(scored: ScoredAudit) -> tuple[FigureEntry, ...]:
    """Return the exact rate of each model that a test asked for near-verbatim rates of, and these by their nearness."""
    exact = {near.memorization.label: near.memorization.rate for near in scored.near_verbatim}
    return (
        *(FigureEntry("near_verbatim", label, "exactly", rate) for label, rate in exact.items()),
        *(
            FigureEntry("near_verbatim", near.memorization.label, str(near.nearness), near.rate)
            for near in scored.near_verbatim
        ),
    )
