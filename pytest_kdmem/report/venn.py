"""Names the cells of the Venn diagram of teacher, baseline and student, and orders the models of an audit."""

from __future__ import annotations

from typing import NamedTuple

from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.auditing.schema import FurtherInheritance, InheritanceEntry
from pytest_kdmem.specs.roles import ROLE_ORDER


class VennCell(NamedTuple):
    """A cell of the diagram.

    Attributes:
        key: Key of the cell in `InheritanceEntry.cells`.
        members: Whether teacher, baseline and student recite its examples, each ``1`` or ``0``.
        label: What reports call the cell.
    """

    key: str
    members: str
    label: str


INHERITED = "teacher+student"
CELLS = (
    VennCell("teacher", "100", "teacher alone"),
    VennCell("teacher+baseline", "110", "lost in distillation"),
    VennCell("all", "111", "easy: all three"),
    VennCell(INHERITED, "101", "inherited from the teacher"),
    VennCell("baseline", "010", "baseline alone"),
    VennCell("baseline+student", "011", "baseline and student"),
    VennCell("student", "001", "student alone"),
)


class Diagram(NamedTuple):
    """A column of the diagram's table.

    Attributes:
        name: Heading of the column: the student, with what else is not the audit's own.
        entry: The examples that its models have in common.
    """

    name: str
    entry: InheritanceEntry


def diagrams(result: AuditResult) -> list[Diagram]:
    """Return the audit's own diagram first, then what tests compared beside it; none if they compared nothing."""
    own = result.inheritance
    if own is None:
        return []
    further = [Diagram(_name(each), each.inheritance) for each in result.further_inheritances]
    # Without a comparison of the audit's own models, the first of the others stands in its place.
    shown = next((diagram for diagram in further if _is_same(diagram.entry, own)), Diagram("examples", own))
    others = [diagram for diagram in further if diagram is not shown]
    return [shown._replace(name="student") if others and shown.name == "examples" else shown, *others]


def _is_same(first: InheritanceEntry, second: InheritanceEntry) -> bool:
    return (first.model_digest, first.comparable_on) == (second.model_digest, second.comparable_on)


def _name(further: FurtherInheritance) -> str:
    """Return the label of the student, and those of the others that are not in their roles."""
    _, on, other_set = further.student.partition(" on ")
    labels = {"teacher": further.teacher, "baseline": further.baseline}
    names = {role: label.removesuffix(on + other_set) for role, label in labels.items()}
    others = [f"{role} {name}" for role, name in names.items() if name != role]
    return further.student + (f" against {' and '.join(others)}" if others else "")


def inheritance_line(entry: InheritanceEntry) -> str:
    """Return the inherited share, the easy share and the reduction in one line."""
    reduction = entry.reduction.format_value(entry.reduction.value)
    return f"inherited {entry.ratio}; easy {entry.easy_share}; reduction {reduction}"


def ordered_roles(result: AuditResult) -> list[str]:
    """Return the models of an audit: first teacher, baseline and student, then the others by name."""
    rank = {role: position for position, role in enumerate(ROLE_ORDER)}
    return sorted(result.models, key=lambda role: (rank.get(role, len(rank)), role))
