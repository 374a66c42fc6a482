"""What each model recites of text that the teacher saw and the student did not, and what is inherited of it."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_kdmem.auditing.schema_figures import FigureEntry
from pytest_kdmem.auditing.scored_audit import ScoredAudit
from pytest_kdmem.auditing.summarize import data_entry
from pytest_kdmem.base.text import count, last_part
from pytest_kdmem.metrics.inheritance import Inheritance
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.specs.roles import TEACHER_SET_NAME


def teacher_set_figures(scored: ScoredAudit) -> tuple[FigureEntry, ...]:
    """Return the rate of each model that was scored over the teacher set, and the inheritance over it if it was asked
    for.
    """
    rates = tuple(
        FigureEntry("teacher_set", memorization.subject, "recited", memorization.rate, _note(memorization))
        for memorization in scored.teacher_set_memorizations.values()
    )
    inheritance = scored.teacher_set_inheritance
    return (*rates, *(_inherited(inheritance) if inheritance is not None else ()))


def _inherited(inheritance: Inheritance) -> Iterator[FigureEntry]:
    subject = inheritance.subject.removesuffix(f" on {TEACHER_SET_NAME}")
    for label, estimate in (
        ("inheritance ratio", inheritance.ratio),
        ("inherited, of what is recited", inheritance.share),
        ("reduction", inheritance.reduction),
    ):
        yield FigureEntry("teacher_set", subject, label, estimate)


def _note(memorization: Memorization) -> str:
    data = data_entry(memorization)
    return (
        f"{count(data.in_training_set)} of {count(data.distinct + data.in_training_set)} distinct examples of"
        f" {last_part(data.source)} are left out, as their suffix stands in the training set of the student."
    )
