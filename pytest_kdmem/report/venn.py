"""Names the cells of the Venn diagram of teacher, baseline and student, and orders the models of an audit."""

from __future__ import annotations

from typing import NamedTuple

from pytest_kdmem.auditing.result import AuditResult
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


def ordered_roles(result: AuditResult) -> list[str]:
    """Return the models of an audit: first teacher, baseline and student, then the others by name."""
    rank = {role: position for position, role in enumerate(ROLE_ORDER)}
    return sorted(result.models, key=lambda role: (rank.get(role, len(rank)), role))
