"""Who recites the same examples, and in which order and words every report says so."""

from __future__ import annotations

from pytest_kdmem.audit.result import AuditResult
from pytest_kdmem.specs.roles import ROLE_ORDER

# A cell, who is in it (teacher, baseline, student), and what that is called.
CELL_ROWS = (
    ("teacher", "100", "teacher alone"),
    ("teacher+baseline", "110", "lost in distillation"),
    ("all", "111", "easy: all three"),
    ("teacher+student", "101", "inherited from the teacher"),
    ("baseline", "010", "baseline alone"),
    ("baseline+student", "011", "baseline and student"),
    ("student", "001", "student alone"),
)


def roles_in_order(result: AuditResult) -> list[str]:
    """The models of an audit: the three roles, then others by name."""
    rank = {role: at for at, role in enumerate(ROLE_ORDER)}
    return sorted(result.models, key=lambda role: (rank.get(role, len(rank)), role))
