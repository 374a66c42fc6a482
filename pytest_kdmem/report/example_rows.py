"""The examples of an audit that the HTML report lists: inherited ones first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.auditing.schema_examples import ExamplesEntry, ModelColumns
from pytest_kdmem.base.arrays import Flags
from pytest_kdmem.report.example_groups import groups_text

# Examples of these kinds come first, in this order.
KINDS_FIRST = ("inherited", "student", "recited", "ambiguous")


@dataclass(frozen=True)
class ModelCell:
    """What one model made of one example; the margin is in logits, None if it is unknown."""

    memorized: bool
    ambiguous: bool
    margin: float | None


@dataclass(frozen=True)
class ExampleRow:
    """An example in the page's table.

    Attributes:
        index: Position of the example in the columns of `ExamplesEntry`.
        groups: Names of its groups, the first few of very many; empty without groups.
        kinds: Names of the page's filters that show the example.
    """

    index: int
    example_id: int
    digest: str
    copies: int
    zlib_bytes: int | None
    risk: float | None
    kinds: tuple[str, ...]
    models: tuple[ModelCell, ...]
    groups: str


def first_example_rows(audit: AuditResult, most: int) -> list[ExampleRow]:
    """Return inherited examples first, then those that the student recites, that any model does, and others by risk.

    Args:
        audit: The audit, which may have listed very many examples.
        most: Greatest number of rows.
    """
    entry = audit.examples
    if entry is None:
        return []
    kinds = _kinds(audit, entry)
    ranks = np.full(len(entry.example_id), len(KINDS_FIRST))
    for rank, kind in reversed(list(enumerate(KINDS_FIRST))):
        ranks[kinds[kind]] = rank
    risks = np.array([risk or 0.0 for risk in entry.risk])
    order = np.lexsort((np.array(entry.example_id), -risks, ranks))[:most]
    return [_example_row(entry, index, kinds) for index in order.tolist()]


def _kinds(audit: AuditResult, entry: ExamplesEntry) -> dict[str, Flags]:
    """Return for each filter of the page which examples it shows, bool ``[n]``."""
    none: Flags = np.zeros(len(entry.example_id), dtype=bool)
    memorized = {role: np.array(columns.memorized, dtype=bool) for role, columns in entry.models.items()}
    ambiguous = [np.array(columns.ambiguous, dtype=bool) for columns in entry.models.values()]
    inherited = audit.inheritance.inherited_examples if audit.inheritance is not None else ()
    threshold = audit.risk.threshold if audit.risk is not None else np.inf
    generated = [[text is not None for text in columns.generated] for columns in entry.models.values()]
    return {
        "inherited": np.isin(entry.example_id, inherited),
        "easy": np.logical_and.reduce(list(memorized.values())) if len(memorized) == 3 else none,
        "student": memorized.get("student", none),
        "recited": np.logical_or.reduce([none, *memorized.values()]),
        "ambiguous": np.logical_or.reduce([none, *ambiguous]),
        "generated": np.logical_or.reduce([none, *(np.array(of_model) for of_model in generated if of_model)]),
        "risk": np.array([risk is not None and risk >= threshold for risk in entry.risk], dtype=bool),
    }


def _example_row(entry: ExamplesEntry, index: int, kinds: dict[str, Flags]) -> ExampleRow:
    return ExampleRow(
        index=index,
        example_id=entry.example_id[index],
        digest=entry.digest[index],
        copies=entry.copies[index],
        zlib_bytes=entry.zlib_bytes[index],
        risk=entry.risk[index],
        kinds=tuple(kind for kind, applies in kinds.items() if applies[index]),
        models=tuple(_model_cell(columns, index) for columns in entry.models.values()),
        groups=groups_text(entry.groups[index]) if entry.groups else "",
    )


def _model_cell(columns: ModelColumns, index: int) -> ModelCell:
    return ModelCell(bool(columns.memorized[index]), bool(columns.ambiguous[index]), columns.margin[index])
