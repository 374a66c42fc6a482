"""Several students of one declaration: an audit for each, a table of them, and a word on those that are one model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.metrics.estimate import Estimate

# Modes whose loss has a temperature.
WITH_TEMPERATURE = ("soft", "on-policy")


@dataclass(frozen=True)
class StudentRow:
    """One of several students, in the table with which reports begin.

    Attributes:
        name: Name of the student.
        audit: Name of its audit.
        mode: How it was trained, according to its run card, such as ``soft`` or ``hard``; None if it has no card.
        temperature: Temperature at which it was trained, according to its run card; None if it has no card, or its loss
            has none.
        seed: Seed of its training, according to its run card; None if it has no card.
        parameters: Number of parameters; None if it was not scored.
        rate: Memorization rate; None if it was not measured.
        reduction: The baseline's rate divided by the student's; None if it was not measured.
        ratio: Inheritance ratio; None if it was not measured.
        gates: Number of gates that were held for it.
        failed: Number of these that did not pass.
        not_run: Number of tests that were not run for it.
    """

    name: str
    audit: str
    mode: str | None
    temperature: float | None
    seed: int | None
    parameters: int | None
    rate: Estimate | None
    reduction: Estimate | None
    ratio: Estimate | None
    gates: int
    failed: int
    not_run: int


def student_rows(audits: Sequence[AuditResult]) -> tuple[StudentRow, ...]:
    """Return a row for each audit that is of one of several students."""
    return tuple(_row(audit) for audit in audits if audit.student)


def with_same_models_told(audits: Sequence[AuditResult]) -> tuple[AuditResult, ...]:
    """Return the audits, with a warning in those of students of one place that are one model."""
    return tuple(replace(audit, warnings=(*audit.warnings, *_same_models(audit, audits))) for audit in audits)


def _same_models(audit: AuditResult, audits: Sequence[AuditResult]) -> Iterator[str]:
    own = audit.models.get("student")
    for other in audits if audit.student and own is not None else ():
        model = other.models.get("student")
        is_beside = other.student not in ("", audit.student) and _place(other) == _place(audit)
        if is_beside and own is not None and model is not None and model.digest == own.digest:
            yield f"students {audit.student} and {other.student} are the same model"


def _place(audit: AuditResult) -> str:
    return audit.name.removesuffix(f"[{audit.student}]")


def _row(audit: AuditResult) -> StudentRow:
    model, inheritance = audit.models.get("student"), audit.inheritance
    recipe = model.run["recipe"] if model is not None and model.run is not None else {}
    mode = recipe.get("mode")
    return StudentRow(
        name=audit.student,
        audit=audit.name,
        mode=mode if isinstance(mode, str) else None,
        temperature=_number(recipe.get("temperature")) if mode in WITH_TEMPERATURE else None,
        seed=seed if type(seed := recipe.get("seed")) is int else None,
        parameters=model.parameters if model is not None else None,
        rate=audit.memorization.get("student"),
        reduction=inheritance.reduction if inheritance is not None else None,
        ratio=inheritance.ratio if inheritance is not None else None,
        gates=len(audit.gates),
        failed=len(audit.failed),
        not_run=len(audit.not_run),
    )


def _number(value: object) -> float | None:
    """A setting of a recipe as a number; a card from elsewhere may hold any kind of value."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
