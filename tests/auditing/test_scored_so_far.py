"""What was scored stands in a record once for each role of a model, apart for the control set."""

from __future__ import annotations

from pathlib import Path

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
