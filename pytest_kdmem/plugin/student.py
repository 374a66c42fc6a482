"""Which of several students a test is about."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from pytest_kdmem.plugin.fixture_lookup import parameters_of
from pytest_kdmem.specs.declared import Model


@dataclass(frozen=True)
class Student:
    """One of several students, the parameter of a test.

    Attributes:
        name: Its name, by which the test's id ends.
        model: The model, before anything that is set for the run takes its place.
    """

    name: str
    model: Model


def student_name(item: pytest.Item) -> str:
    """Return the name of the student that a test is about; empty if there is only one, or it is about none."""
    student = parameters_of(item).get("student")
    return student.name if isinstance(student, Student) else ""
