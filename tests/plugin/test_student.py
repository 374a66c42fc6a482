"""A test is about the student that its parameter names, and about none without one."""

from __future__ import annotations

import pytest

from pytest_kdmem.plugin.student import Student, student_name
from pytest_kdmem.specs.declared import Model


def test_the_name_is_that_of_the_parameter(pytester: pytest.Pytester) -> None:
    items = pytester.getitems(
        """
        import pytest
        from pytest_kdmem.plugin.student import Student
        from pytest_kdmem.specs.declared import Model

        @pytest.mark.parametrize("student", [Student("small", Model("runs/small")), Student("large", Model("x"))])
        def test_of_one(student): ...

        @pytest.mark.parametrize("student", ["a text"])
        def test_of_another_parameter(student): ...

        @pytest.mark.parametrize("threshold", [1])
        def test_of_none(threshold): ...

        def test_plain(): ...
        """
    )
    assert [student_name(item) for item in items] == ["small", "large", "", "", ""]


def test_students_are_known_by_name_and_model() -> None:
    assert Student("a", Model("x")) == Student("a", Model("x")) != Student("a", Model("y"))
