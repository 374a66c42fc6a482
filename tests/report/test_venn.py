"""The cells of the diagram cover every way in which three models can recite an example."""

from __future__ import annotations

from itertools import product

import numpy as np

from pytest_kdmem.metrics.inheritance import Inheritance
from pytest_kdmem.metrics.memorized_flags import MemorizedFlags
from pytest_kdmem.report.venn import CELLS, INHERITED, ordered_roles
from tests.report.audits import full_audit


def test_every_cell_is_named_by_its_members_as_inheritance_counts_it() -> None:
    assert {cell.members for cell in CELLS} == {"".join(bits) for bits in product("01", repeat=3)} - {"000"}
    for cell in CELLS:
        flags = (MemorizedFlags.unambiguous(np.array([member == "1"])) for member in cell.members)
        assert Inheritance(*flags, exhaustive=True).cells[cell.key] == 1
    assert next(cell.members for cell in CELLS if cell.key == INHERITED) == "101"


def test_roles_come_first_and_other_models_by_name() -> None:
    model = full_audit().models["student"]
    audit = full_audit(models=dict.fromkeys(("b", "student", "a", "teacher", "baseline"), model))
    assert ordered_roles(audit) == ["teacher", "baseline", "student", "a", "b"]
