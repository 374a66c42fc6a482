"""What each model shows of canaries: exposure, share found and share recited, by the number of copies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pytest_kdmem.auditing.figures.membership import FALSE_POSITIVE_RATES
from pytest_kdmem.auditing.schema_figures import FigureEntry, with_sets_named
from pytest_kdmem.auditing.scored_audit import ScoredAudit
from pytest_kdmem.base.text import count
from pytest_kdmem.canaries.measured import MeasuredCanaries

# Characters of a manifest's digest that tell several manifests of one audit apart.
SHORT = 8


def canary_figures(scored: ScoredAudit) -> tuple[FigureEntry, ...]:
    """Return the figures of each number of copies, with the manifest's digest and the number of twins as a note."""
    figures = [
        replace(figure, over={"manifest": canaries.manifest[:SHORT]}, digest=canaries.over)
        for canaries in scored.canaries
        for figure in _figures(canaries)
    ]
    return tuple(with_sets_named(figures))


def _figures(canaries: MeasuredCanaries) -> Iterator[FigureEntry]:
    subject = canaries.subject
    note = (
        f"among {count(canaries.twins)} twins; a canary that is more likely than all of them has"
        f" {canaries.greatest:.2f} bits, and a string that was never seen 1.44 on average; manifest"
        f" {canaries.manifest}"
    )
    for copies in canaries.tiers:
        at = f"{copies} {'copy' if copies == 1 else 'copies'}"
        exposure, recited = canaries.exposure(copies), canaries.recited(copies)
        yield FigureEntry("canaries", subject, f"exposure, {at}", exposure, note if copies == canaries.tiers[0] else "")
        for rate in FALSE_POSITIVE_RATES:
            if canaries.twins * rate >= 1 - 1e-9:
                found = canaries.tpr(rate, copies)
                yield FigureEntry("canaries", subject, f"TPR at {100 * rate:g}% FPR, {at}", found)
        yield FigureEntry("canaries", subject, f"recited, {at}", recited)
