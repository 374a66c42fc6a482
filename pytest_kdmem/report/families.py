"""The families of further figures as tables, in the words of every report: a row for each label, a column for each
model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.auditing.schema_figures import FAMILIES, Family, FigureEntry
from pytest_kdmem.base.text import count
from pytest_kdmem.metrics.estimate import Estimate
from pytest_kdmem.report.sentences import UNKNOWN, figure_text
from pytest_kdmem.specs.roles import ROLE_ORDER

MAX_LABELS_OF_NOTE = 5

# Title and meaning of each family.
WORDS: dict[Family, tuple[str, str]] = {
    "context": (
        "How much context it takes",
        "Share of the examples that a model recites from a prefix of that many tokens.",
    ),
    "near_verbatim": (
        "Near-verbatim",
        "Share of the examples that a model continues with no more than a few tokens changed.",
    ),
    "sampler": (
        "As it is sampled",
        "Share of the examples whose suffix appears among some samples with at least the probability named.",
    ),
    "specific": (
        "Memorized or merely predictable",
        "Share of the examples that a model recites, without those whose suffix is also likely after other prefixes of"
        " the set.",
    ),
    "group": (
        "By group",
        "Share recited of each group of the training set, of which all bounds of a column hold at once; rows of that"
        " name have the group's inheritance ratio and its reduction.",
    ),
    "copies": (
        "By the number of copies",
        "Share recited of the examples that occur that many times in the training set.",
    ),
    "class": (
        "Whose secret",
        "Share of all examples of which a secret of the class is recited, at least a part of it; undefined if a class"
        " was not searched for.",
    ),
    "membership": (
        "Membership",
        "How well an adversary tells examples of the training set from text that no model saw.",
    ),
    "canaries": (
        "Canaries",
        "How far a model prefers random strings that were put into the training set to others that were not.",
    ),
    "teacher_set": (
        "Absent from the student's data",
        "Share recited of text that the teacher saw and the student did not.",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class FamilyRow:
    """A row of a family's table.

    Attributes:
        label: What the figures are over.
        examples: Number of examples of each figure, once if all have the same.
        cells: A figure for each subject.
    """

    label: str
    examples: str
    cells: tuple[str, ...]


@dataclass(frozen=True)
class FamilyTable:
    """A family's table.

    Attributes:
        family: Name of the family.
        title: Title in reports.
        meaning: What the figures mean, in a sentence.
        subjects: Models, a column for each.
        rows: The rows.
        notes: What a reader must know of single figures.
    """

    family: Family
    title: str
    meaning: str
    subjects: tuple[str, ...]
    rows: tuple[FamilyRow, ...]
    notes: tuple[str, ...]


def family_tables(audit: AuditResult) -> tuple[FamilyTable, ...]:
    """Return a table for each family of which the audit has figures, in the order of the families."""
    by_family: dict[Family, list[FigureEntry]] = {}
    for figure in audit.figures:
        by_family.setdefault(figure.family, []).append(figure)
    return tuple(_table(family, by_family[family]) for family in FAMILIES if family in by_family)


def gated_parts(audit: AuditResult) -> frozenset[Family]:
    """Return the families of the parts of the training set that gates are about: groups, tiers of copies."""
    return frozenset(
        gate.estimate.part for gate in audit.gates if gate.estimate is not None and gate.estimate.part is not None
    )


def _table(family: Family, figures: Sequence[FigureEntry]) -> FamilyTable:
    rank = {role: position for position, role in enumerate(ROLE_ORDER)}
    subjects = sorted({figure.subject for figure in figures}, key=lambda role: (rank.get(role, len(rank)), role))
    rows: dict[str, dict[str, Estimate]] = {}
    for figure in figures:
        rows.setdefault(figure.label, {})[figure.subject] = figure.estimate
    labels_by_note: dict[str, dict[str, None]] = {}
    for figure in figures:
        if figure.note:
            labels_by_note.setdefault(figure.note, {})[figure.label] = None
    notes = tuple(f"{_listed(list(labels))}: {note}" for note, labels in labels_by_note.items())
    title, meaning = WORDS[family]
    shown = tuple(_row(label, estimates, subjects) for label, estimates in rows.items())
    return FamilyTable(family, title, meaning, tuple(subjects), shown, notes)


def _listed(labels: Sequence[str]) -> str:
    """Return labels that share a note, the first few of very many."""
    rest = len(labels) - MAX_LABELS_OF_NOTE
    return ", ".join(labels[:MAX_LABELS_OF_NOTE]) + (f" and {count(rest)} more" if rest > 0 else "")


def _row(label: str, estimates: dict[str, Estimate], subjects: Sequence[str]) -> FamilyRow:
    examples = dict.fromkeys(count(estimate.n) for estimate in estimates.values())
    cells = (figure_text(estimates[subject]) if subject in estimates else UNKNOWN for subject in subjects)
    return FamilyRow(label, ", ".join(examples), tuple(cells))
