"""What each model recites of each class of secrets, and what the student inherited of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from pytest_kdmem.auditing.schema_figures import FigureEntry
from pytest_kdmem.auditing.scored_audit import ScoredAudit
from pytest_kdmem.base.arrays import Flags
from pytest_kdmem.errors import KdmemError
from pytest_kdmem.metrics.bounds import Counts, estimate_proportion
from pytest_kdmem.metrics.by_class import recited_secrets, unknown_secrets
from pytest_kdmem.metrics.flags import FLAG_COLUMNS
from pytest_kdmem.metrics.inheritance import Inheritance
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.secrets.examples import SecretsOfExamples
from pytest_kdmem.specs.secret_settings import SECRET_CLASSES

INHERITED = "inherited"


def class_figures(scored: ScoredAudit) -> tuple[FigureEntry, ...]:
    """Return a rate for each class and model, over all distinct examples, and one of what the student inherited.

    The text of what any model recites is read once for all of them, and not again by a later audit. A class that could
    not be looked for has an undefined figure with the reason.
    """
    own = scored.own_memorizations
    first = next(iter(own.values()), None)
    if first is None or first.secrets is None:
        return ()
    reasons = _search_all(own, first, first.secrets)
    figures = []
    for name in SECRET_CLASSES:
        if name in reasons:
            undefined = estimate_proportion(f"{name} memorization rate", "", Counts(0, 0), exhaustive=True)
            figures += [
                FigureEntry("class", label, name, replace(undefined, subject=label), reasons[name]) for label in own
            ]
            continue
        figures += [_figure(label, memorization, name) for label, memorization in own.items()]
        if scored.inheritance is not None and _is_own(scored.inheritance, first):
            student = own.get(scored.inheritance.subject, first)
            figures.append(_inherited(scored.inheritance, student, name))
    return tuple(figures)


def _is_own(inheritance: Inheritance, first: Memorization) -> bool:
    """Whether inheritance is over the audit's own set; that of another stands there where a test asked for it alone."""
    return inheritance.comparable_on.get("training set") == first.scores.record.digest


def _search_all(own: Mapping[str, Memorization], first: Memorization, secrets: SecretsOfExamples) -> Mapping[str, str]:
    """Search what any model recites, or may, and return the classes that were not looked for, with the reasons."""
    try:
        for memorization in own.values():
            secrets.places(memorization.scores, first.scores.rows.filter(first.distinct_rows.row_mask(_recited(own))))
        return secrets.not_looked_for(first.scores)
    except KdmemError as error:
        return dict.fromkeys(SECRET_CLASSES, f"the text of recited examples could not be searched: {error}")


def _recited(own: Mapping[str, Memorization]) -> Flags:
    """Whether any model recites an example, or may, bool ``[n]``."""
    flags: Flags = np.logical_or.reduce(
        [memorization.flags("possible") | memorization.flags("memorized") for memorization in own.values()]
    )
    return flags


def _figure(label: str, memorization: Memorization, name: str) -> FigureEntry:
    """Rate of the recited examples of a class."""
    is_recited = memorization.flags("possible") | memorization.flags("memorized")
    note = _note(label, recited_secrets(memorization, is_recited, name).unknown, name)
    return FigureEntry("class", label, name, memorization.of_class(name).rate, note)


def _note(label: str, unknown: Flags, name: str) -> str:
    """What a reader must know of a figure over examples of some of which it is unknown; empty if nothing."""
    return f"{label}: {unknown_secrets(int(unknown.sum()), name)}" if unknown.any() else ""


def _inherited(inheritance: Inheritance, student: Memorization, name: str) -> FigureEntry:
    """Rate of the inherited examples of a class, over all distinct examples, by what the student recites of them."""
    inherited = (inheritance.teacher & inheritance.student) - inheritance.baseline
    secrets = recited_secrets(student, inherited.possible | inherited.memorized, name)
    is_recited, is_sure, is_possible = (
        flags & secrets.by_reading[reading]
        for flags, reading in zip((inherited.memorized, inherited.sure, inherited.possible), FLAG_COLUMNS, strict=True)
    )
    recited, fewest, most = (int(flags.sum()) for flags in (is_recited, is_sure, is_possible))
    ambiguous = int((is_possible & ~is_sure).sum())
    estimate = estimate_proportion(
        f"{name} inherited rate",
        INHERITED,
        Counts(recited, len(is_recited), fewest, most, ambiguous),
        exhaustive=inheritance.exhaustive,
        confidence=inheritance.confidence,
    )
    rate = replace(estimate, too_short=inheritance.too_short, not_shown=inheritance.not_shown)
    return FigureEntry("class", INHERITED, name, rate, _note(INHERITED, secrets.unknown, name))
