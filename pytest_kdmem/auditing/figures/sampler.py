"""Rates of what may be extracted from models as they are sampled."""

from __future__ import annotations

from pytest_kdmem.auditing.schema_figures import FigureEntry
from pytest_kdmem.auditing.scored_audit import ScoredAudit


def sampler_figures(scored: ScoredAudit) -> tuple[FigureEntry, ...]:
    """Return the rate of each model, number of samples and sampler that a test asked for, and of the model's own."""
    figures = [
        FigureEntry(
            "sampler",
            extractable.memorization.label,
            f"{extractable.draws} {extractable.deployed}",
            extractable.rate,
            extractable.deployed.remark,
        )
        for extractable in scored.sampled
    ]
    # By greedy decoding the table of verdicts and that of all metrics tell the same.
    return tuple({figure.key: figure for figure in figures}.values())
