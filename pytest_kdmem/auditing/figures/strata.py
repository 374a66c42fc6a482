"""Says how the examples were drawn on which figures of parts of a sample rest, and how their bounds hold."""

from __future__ import annotations

from pytest_kdmem.base.text import count, percent
from pytest_kdmem.corpus.strata_of import strata_of
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.specs.reading_kinds import Stratify


def how_drawn(memorization: Memorization, by: Stratify) -> str:
    """Return a sentence on the figures by group or tier of copies; empty over a whole set."""
    if memorization.scores.record.exhaustive:
        return ""
    training_set = memorization.scores.training_set
    parts = memorization.by_group if by == "group" else memorization.by_copies
    kind = "groups" if by == "group" else "tiers"
    bounds = f"all bounds of one figure hold at once at {percent(memorization.confidence)} (Bonferroni)"
    if memorization.beyond is not None and training_set.stratify == by:
        least = count(strata_of(training_set).least)
        return f"at least {least} examples of each of {count(len(parts))} {kind} were drawn, or all; {bounds}"
    seen = count(len(parts) - len(parts.not_looked_at))
    return f"a random sample, in which {seen} of {count(len(parts))} {kind} have an example; {bounds}"
