"""How much context it takes: rates by the length of the prefix, and the longest recited run."""

from __future__ import annotations

from pytest_kdmem.auditing.schema_figures import FigureEntry
from pytest_kdmem.auditing.scored_audit import ScoredAudit
from pytest_kdmem.metrics.memorization import Memorization


def context_figures(scored: ScoredAudit) -> tuple[FigureEntry, ...]:
    """Return the curve and the longest run of each model of which all metrics were scored."""
    with_windows = {
        label: memorization
        for label, memorization in scored.own_memorizations.items()
        if memorization.has_windows and len(memorization.distinct_rows)
    }
    return tuple(figure for label, memorization in with_windows.items() for figure in _figures_of(label, memorization))


def _figures_of(label: str, memorization: Memorization) -> list[FigureEntry]:
    of_answer = " of the answer" if memorization.window_hits.are_answers else ""
    rates = [
        FigureEntry("context", label, f"first {length} tokens{of_answer}", rate) for length, rate in memorization.curve
    ]
    longest = memorization.longest_run
    note = "" if longest.exhaustive else "A sample gives no bound for the longest run in the whole set."
    return [*rates, FigureEntry("context", label, "longest run", longest, note)]
