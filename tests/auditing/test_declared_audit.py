"""An audit knows its own models and sets, and calls others by their sources."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_kdmem.auditing.declared_audit import DeclaredAudit
from pytest_kdmem.base.progress import NO_PROGRESS
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.runtime import RunSettings

TEACHER, STUDENT = Model("runs/teacher"), Model("runs/student")
TRAIN, CONTROL, OTHER = map(TrainingSet, ("train.npy", "control.npy", "other.npy"))


def declared(**roles: Model) -> DeclaredAudit:
    return DeclaredAudit(Extraction(12, 8, 20), RunSettings(), 0.95, False, Path("store"), NO_PROGRESS, roles=roles)


@pytest.mark.parametrize(
    ("model", "subject"),
    [
        (TEACHER, "teacher"),
        (STUDENT, "student"),  # the baseline as well
        (Model("runs/other"), "runs/other"),
        (Model("runs/teacher", revision="v2"), "runs/teacher"),
        (Model("student"), "./student"),  # a folder of that name is not the student
    ],
)
def test_a_model_is_called_by_its_role_and_others_by_their_source(model: Model, subject: str) -> None:
    assert declared(teacher=TEACHER, baseline=STUDENT, student=STUDENT).subject(model) == subject


def test_a_model_has_every_role_that_it_is_declared_for() -> None:
    audit = declared(teacher=TEACHER, baseline=STUDENT, student=STUDENT)
    assert audit.roles_of(STUDENT) == ["baseline", "student"]
    assert audit.roles_of(Model("runs/other")) == []


def test_sets_are_its_own_if_they_are_declared_or_if_none_is() -> None:
    audit = declared()
    assert audit.is_own_set(OTHER)
    audit.training_set = TRAIN
    assert not audit.is_own_set(CONTROL)
    audit.control_set = CONTROL
    assert [audit.is_own_set(each) for each in (TRAIN, CONTROL, OTHER)] == [True, True, False]


def test_figures_over_other_sets_name_them_and_the_teacher_set_by_its_role() -> None:
    audit = declared()
    audit.training_set, audit.control_set, audit.teacher_set = TRAIN, CONTROL, OTHER
    further = TrainingSet("further.npy", sample=3)
    names = [audit.other_set(each) for each in (TRAIN, CONTROL, OTHER, further)]
    assert names == ["", "", "teacher set", "further.npy (sample 3)"]
    assert [audit.must_be_known(each) for each in (TRAIN, CONTROL, OTHER, further)] == [True, False, True, False]
