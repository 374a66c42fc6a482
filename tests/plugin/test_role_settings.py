"""What an audit declares for a role and what the settings say come together, and another kind is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_kdmem.errors import SpecError
from pytest_kdmem.plugin.role_settings import (
    overridden,
    overridden_student,
    spec_from_settings,
    students_from_settings,
)
from pytest_kdmem.specs.declared import Model, TrainingSet
from pytest_kdmem.specs.roles import ROLES
from tests.plugin.any_settings import settings

DECLARED_SET = TrainingSet(
    "own", split="a", config="b", documents="articles", revision="c", minimum_tokens=30, sample=3
)


def test_a_setting_of_the_run_goes_before_what_is_declared_and_one_of_the_configuration_does_not():
    declared = Model("own", dtype="float32", revision="main")
    named = {"student": "other", "dtype": "bfloat16"}
    assert overridden(declared, "student", settings("configuration", **named)) == declared
    for origin in ("option", "environment"):
        assert overridden(declared, "student", settings(origin, **named)) == Model("other", dtype="bfloat16")
    assert overridden(declared, "teacher", settings(student="other")) == declared


def test_the_base_of_an_adapter_is_that_of_the_role_and_goes_with_the_model():
    declared = Model("own", base="under")
    assert overridden(declared, "student", settings(student_base="other")) == Model("own", base="other")
    assert overridden(declared, "teacher", settings(student_base="other")) == declared
    assert overridden(declared, "student", settings(student="lora")) == Model("lora")
    named = {"student": "lora", "student_base": "under"}
    assert overridden(declared, "student", settings(**named)) == Model("lora", base="under")
    assert spec_from_settings("student", settings("configuration", **named)) == Model("lora", base="under")


def test_the_base_of_the_configuration_is_not_that_of_a_model_of_this_run():
    given = settings("configuration", student="lora", student_base="under", teacher="t", teacher_base="b")
    of_this_run = replace(given, origins={**given.origins, "student": "option"})
    assert spec_from_settings("student", of_this_run) == Model("lora")
    assert spec_from_settings("teacher", of_this_run) == Model("t", base="b")


def test_where_to_look_in_a_set_goes_with_the_set_that_is_replaced():
    kept = overridden(DECLARED_SET, "training_set", settings(sample=5))
    assert (kept.source, kept.split, kept.minimum_tokens, kept.sample) == ("own", "a", 30, 5)
    other = overridden(DECLARED_SET, "training_set", settings(training_set="other"))
    assert other == TrainingSet("other", sample=3)


def test_no_sample_is_taken_of_a_control_set():
    assert overridden(TrainingSet("own"), "control_set", settings(sample=5, seed=7)) == TrainingSet("own", seed=7)
    assert spec_from_settings("control_set", settings(control_set="own", sample=5)) == TrainingSet("own")


def test_a_teacher_set_is_sampled_and_has_no_groups_of_the_settings():
    given = settings(teacher_set="own", sample=5, seed=7, group_column="customer", order="a_shuffle_idx.npy")
    assert spec_from_settings("teacher_set", given) == TrainingSet("own", sample=5, seed=7)


def test_a_role_of_the_settings_has_the_settings_of_its_kind():
    given = settings("configuration", teacher="t", training_set="data.txt", dtype="float32", sample=5, form="blocks")
    assert spec_from_settings("teacher", given) == Model("t", dtype="float32")
    assert spec_from_settings("training_set", given) == TrainingSet("data.txt", sample=5, form="blocks")


@pytest.mark.parametrize("role", ROLES)
def test_a_role_that_nothing_declares_names_every_way_to_declare_it(role):
    with pytest.raises(SpecError) as error:
        spec_from_settings(role, settings())
    for way in (f"write a fixture {role!r}", f"--kdmem-{role.replace('_', '-')}", f"kdmem_{role}"):
        assert way in str(error.value)


def test_students_of_the_settings_have_the_settings_of_a_student():
    named = {"students": ["soft=runs/s", "runs/hard"]}
    given = settings("configuration", dtype="float32", trust_remote_code=True, student_base="base", **named)
    assert students_from_settings(given) == {
        "soft": Model("runs/s", dtype="float32", trust_remote_code=True, base="base"),
        "hard": Model("runs/hard", dtype="float32", trust_remote_code=True, base="base"),
    }
    with pytest.raises(SpecError, match="At least one model was expected as students"):
        students_from_settings(settings())


def test_the_base_of_several_students_is_that_of_the_adapters_among_them(tmp_path):
    (tmp_path / "lora").mkdir()
    (tmp_path / "lora" / "adapter_config.json").write_text("{}")
    (tmp_path / "whole").mkdir()
    lora, whole = Model(str(tmp_path / "lora")), Model(str(tmp_path / "whole"))
    given = settings(students=[lora.source, whole.source], student_base="under")
    named = [overridden_student(student, given) for student in students_from_settings(given).values()]
    assert named == [overridden_student(student, given) for student in (lora, whole)]
    assert named == [replace(lora, base="under"), whole]
    wrong = replace(whole, base="other")  # it is refused where it is opened
    assert overridden_student(wrong, settings("configuration", student_base="under")) == wrong
