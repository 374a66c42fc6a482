"""What was scored stands in a record once for each role of a model, apart for the control set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pytest_kdmem.auditing.declared_audit import DeclaredAudit
from pytest_kdmem.auditing.scored_so_far import ScoredSoFar
from pytest_kdmem.base.progress import NO_PROGRESS
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.runtime import RunSettings
from tests.metrics.score_tables import memorization_from, row

MEMORIZATION = memorization_from([row(digest, memorized=digest == "a") for digest in "ab"], subject="student")
MODEL, SET = MEMORIZATION.scores.model, MEMORIZATION.scores.training_set


def declared(roles: dict[str, Model], control_set: TrainingSet | None = None) -> DeclaredAudit:
    lengths = Extraction(12, 8, 20)
    return DeclaredAudit(
        lengths, RunSettings(), 0.95, False, Path("store"), NO_PROGRESS, roles=roles, control_set=control_set
    )


def scored(memorization: Memorization = MEMORIZATION) -> ScoredSoFar:
    so_far = ScoredSoFar()
    so_far.memorizations[MODEL, "", "", SET, "verdict"] = memorization
    return so_far


def test_a_model_in_two_roles_has_a_row_for_each() -> None:
    moment = scored().moment(declared({"baseline": MODEL, "student": MODEL}), {})
    assert list(moment.memorizations) == ["baseline", "student"]
    assert [each.subject for each in moment.memorizations.values()] == ["baseline", "student"]


def test_a_model_without_a_role_has_the_row_by_which_it_was_scored() -> None:
    assert list(scored().moment(declared({}), {}).memorizations) == ["student"]


def test_rows_over_the_control_set_stand_apart() -> None:
    moment = scored().moment(declared({"student": MODEL}, control_set=SET), {})
    assert (list(moment.memorizations), list(moment.control_memorizations)) == ([], ["student"])


def test_a_moment_does_not_change_and_holds_each_warning_once() -> None:
    so_far = scored()
    so_far.warn(["first", "second"])
    so_far.warn(["first"])
    moment = so_far.moment(declared({}), {})
    so_far.warn(["third"])
    so_far.memorizations.clear()
    assert moment.warnings == ("first", "second")
    assert len(moment.memorizations) == 1


def test_an_inheritance_of_other_models_is_kept_beside_the_audits_own() -> None:
    own, again, other, of_teacher_set = (f"inheritance {number}" for number in range(4))
    so_far: Any = ScoredSoFar()
    roles = ("teacher", "baseline", "student")
    so_far.keep(other, (*roles[:2], "runs/other"), of_audit=False, over_own=True, over_teacher_set=False)
    assert so_far.inheritance is other  # until the audit's own is asked for
    so_far.keep(own, roles, of_audit=True, over_own=True, over_teacher_set=False)
    so_far.keep(again, ("t on x", "b on x", "s on x"), of_audit=True, over_own=False, over_teacher_set=False)
    so_far.keep(of_teacher_set, roles, of_audit=True, over_own=False, over_teacher_set=True)
    moment = so_far.moment(declared({}), {})
    assert (moment.inheritance, moment.teacher_set_inheritance) == (own, of_teacher_set)
    assert dict(moment.further_inheritances) == {
        ("teacher", "baseline", "runs/other"): other,
        ("t on x", "b on x", "s on x"): again,
    }
