"""Gathers the figures of all families from what an audit has scored; no model is run for them."""

from __future__ import annotations

from collections.abc import Callable

from pytest_kdmem.auditing.figures.canaries import canary_figures
from pytest_kdmem.auditing.figures.context import context_figures
from pytest_kdmem.auditing.figures.copies import copies_figures
from pytest_kdmem.auditing.figures.groups import group_figures
from pytest_kdmem.auditing.figures.membership import membership_figures
from pytest_kdmem.auditing.figures.near_verbatim import near_verbatim_figures
from pytest_kdmem.auditing.figures.sampler import sampler_figures
from pytest_kdmem.auditing.figures.secret_class import class_figures
from pytest_kdmem.auditing.figures.specific import specific_figures
from pytest_kdmem.auditing.figures.teacher_set import teacher_set_figures
from pytest_kdmem.auditing.schema_figures import FigureEntry, in_order
from pytest_kdmem.auditing.scored_audit import ScoredAudit

# In the order of `schema_figures.FAMILIES`.
FAMILY_FIGURES: tuple[Callable[[ScoredAudit], tuple[FigureEntry, ...]], ...] = (
    context_figures,
    near_verbatim_figures,
    sampler_figures,
    specific_figures,
    group_figures,
    copies_figures,
    class_figures,
    membership_figures,
    canary_figures,
    teacher_set_figures,
)


def gather_figures(scored: ScoredAudit) -> tuple[FigureEntry, ...]:
    """Return the figures of each family in turn."""
    return in_order(figure for family_figures in FAMILY_FIGURES for figure in family_figures(scored))


def acceptable_figures(scored: ScoredAudit) -> tuple[FigureEntry, ...]:
    """Return the figures of those families that can be accepted; they take no time."""
    return (*membership_figures(scored), *canary_figures(scored), *teacher_set_figures(scored))
