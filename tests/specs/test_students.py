"""Students have names of their own, which may stand in the ids of tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.declared import Model
from pytest_kdmem.specs.students import (
    named_students,
    short_names,
    split_entry,
    student_audit_name,
    students_of_setting,
)


def test_students_are_named_by_whoever_declares_them_or_by_their_sources():
    expected = {"soft": Model("runs/soft"), "T2": Model("someone/t2", revision="main")}
    assert named_students({"soft": "runs/soft", "T2": Model("someone/t2", revision="main")}) == expected
    assert named_students([Model("runs/a"), Path("runs/b.x")]) == {"a": Model("runs/a"), "b.x": Model("runs/b.x")}


@pytest.mark.parametrize(
    ("students", "message"),
    [
        ({}, "At least one model was expected as students"),
        ([], "At least one model was expected as students"),
        ("runs/a", "Several models were expected as students, .*; found 'runs/a': declare one model as student"),
        (Model("runs/a"), "Several models were expected as students"),
        (None, "Several models were expected as students"),
        (["runs/a", "runs/a"], "Students of different names were expected; found 2 called a"),
        ({"teacher": "runs/a"}, "and no other role's; found 'teacher'"),
        ({"a]b": "runs/a"}, "letters, digits"),
        ({"a\n": "runs/a"}, "letters, digits"),
        ({"T=2": "runs/a"}, "letters, digits"),
        ({"x" * 65: "runs/a"}, "letters, digits"),
        ({1: "runs/a"}, "letters, digits"),
        ({"a": 3}, "A Model was expected as student a; found 3"),
        ([None], "A Model was expected as student; found None"),
    ],
)
def test_other_students_are_refused(students, message):
    with pytest.raises(SpecError, match=message):
        named_students(students)


def test_a_setting_names_a_student_or_leaves_it_to_its_source():
    assert split_entry("soft=runs/x") == ("soft", "runs/x")
    assert split_entry("runs/T=2") == ("T=2", "runs/T=2")
    assert students_of_setting(["soft=runs/x", "runs/hard"]) == {"soft": Model("runs/x"), "hard": Model("runs/hard")}
    with pytest.raises(SpecError, match="found 2 called x"):
        students_of_setting(["runs/x", "x=other/x"])


@pytest.mark.parametrize(
    ("sources", "names"),
    [
        (["runs/soft", "runs/hard"], ["soft", "hard"]),
        (["runs/soft/final", "runs/hard/final"], ["soft-final", "hard-final"]),
        (["runs/a/x/final", "runs/b/x/final", "c"], ["a-x-final", "b-x-final", "c"]),
        (["final", "runs/final"], ["final", "runs-final"]),
        (["owner/student", "other/student"], ["owner-student", "other-student"]),
    ],
)
def test_students_without_names_are_told_apart_by_the_ends_of_their_paths(sources: list[str], names: list[str]) -> None:
    assert short_names(sources) == names
    assert list(named_students(sources)) == names
    assert list(students_of_setting(sources)) == names


def test_the_audit_of_a_student_is_named_by_it():
    assert student_audit_name("audits/a", "soft") == "audits/a[soft]"
    assert student_audit_name("", "") == ""
