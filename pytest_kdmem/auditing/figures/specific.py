"""What is recited only after its own prefix, and how much of what is recited is common, easy or inherited."""

from __future__ import annotations

from pytest_kdmem.auditing.schema_figures import FigureEntry
from pytest_kdmem.auditing.scored_audit import ScoredAudit
from pytest_kdmem.base.text import count
from pytest_kdmem.metrics.specific import Specific


def specific_figures(scored: ScoredAudit) -> tuple[FigureEntry, ...]:
    """Return the rate and the share of each model that a test asked for them of, with those of inheritance beside."""
    figures = []
    for specific in scored.specific:
        subject, likely = specific.memorization.label, f"({count(specific.n)}, {specific.p:g})"
        figures += [
            FigureEntry("specific", subject, f"specific {likely}", specific.rate, _note(specific)),
            FigureEntry("specific", subject, f"common {likely}, of what is recited", specific.common_share),
        ]
    inheritance = scored.inheritance
    if inheritance is not None and any(each.memorization.label == inheritance.subject for each in scored.specific):
        shares = {"easy": inheritance.easy_share, "inherited": inheritance.share}
        figures += [
            FigureEntry("specific", inheritance.subject, f"{name}, of what is recited", share)
            for name, share in shares.items()
        ]
    return tuple(figures)


def _note(specific: Specific) -> str:
    if not specific.undrawn:
        return ""
    return f"The training set holds too few unrelated prefixes for {count(specific.undrawn)} of the recited examples."
