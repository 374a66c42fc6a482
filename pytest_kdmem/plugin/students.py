"""Several students of one audit: each test that asks for the student runs once for each, under its name."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

import pytest

from pytest_kdmem.errors import SpecError
from pytest_kdmem.plugin.collection import FIXTURES_MODULES
from pytest_kdmem.plugin.fixture_lookup import Definition, visible_definitions
from pytest_kdmem.plugin.role_settings import students_from_settings
from pytest_kdmem.plugin.session import AuditSession, session_of
from pytest_kdmem.plugin.student import Student
from pytest_kdmem.specs.students import named_students

# Fixtures whose tests are about the student: the second asks for it by itself.
ABOUT_STUDENT = ("student", "inheritance")


def parametrize(metafunc: pytest.Metafunc) -> None:
    """Let an audit's test that asks for the student run once for each, if several are declared.

    Raises:
        pytest.Collector.CollectError: The students are declared wrongly.
    """
    if not set(ABOUT_STUDENT).intersection(metafunc.fixturenames):
        return
    try:
        students = declared_students(metafunc.definition, session_of(metafunc.config))
    except SpecError as error:
        raise pytest.Collector.CollectError(str(error)) from None
    if students:
        if "student" not in metafunc.fixturenames:  # it asks by another fixture, while it runs
            metafunc.fixturenames.append("student")
        names = [student.name for student in students]
        metafunc.parametrize("student", students, indirect=True, ids=names, scope="session")


def declared_students(item: pytest.Item, session: AuditSession) -> Sequence[Student]:
    """Return the students that a test's audit or its settings declare; empty if they declare one student, or none.

    Raises:
        SpecError: They are declared wrongly, or one student is declared or named beside them.
    """
    settings, own, single = session.settings, _users(item, "students"), _users(item, "student")
    place = settings.places["students"]
    if settings.overrides("students") or (own is None and single is None and settings["students"]):
        key, origin = None, place
    elif own is not None:
        key, origin = own, f"a fixture students of {own.baseid or 'the root'}"
    else:
        return ()
    named_beside = settings.places["student"] if settings.overrides("student") else ""
    declared_beside = f"a fixture student of {single.baseid or 'the root'}" if single is not None else ""
    if beside := named_beside or declared_beside:
        raise SpecError(
            f"Either one student or several students were expected for {item.nodeid}; found {beside} and {origin}:"
            " leave one of them out."
        )
    if key not in session.students:
        by_name = named_students(_call(key)) if key is not None else students_from_settings(settings)
        session.students[key] = tuple(Student(name, model) for name, model in by_name.items())
    return session.students[key]


def check_is_one(item: pytest.Item, session: AuditSession) -> None:
    """Check that a test which asks for the student while it runs is of an audit with one student.

    Raises:
        SpecError: Several are declared, for which the test would have to run once each.
    """
    if declared_students(item, session):
        raise SpecError(
            f"student was expected among the arguments of {item.nodeid} or of a fixture it uses, so that it runs once"
            " for each of several students, and was only asked for by request.getfixturevalue; name it there."
        )


def _users(item: pytest.Item, name: str) -> Definition | None:
    """Return the definition of a fixture that a test sees, or None if that is the plugin's own."""
    visible = visible_definitions(item, name)
    return visible[-1] if visible and visible[-1].func.__module__ not in FIXTURES_MODULES else None


def _call(definition: Definition) -> object:
    """Call the fixture that declares the students: their names are known before any fixture is set up."""
    function = definition.func
    is_plain = not inspect.isgeneratorfunction(function) and not inspect.iscoroutinefunction(function)
    if not is_plain or inspect.signature(function).parameters or definition.params or definition.scope != "session":
        raise SpecError(
            f"The fixture students of {definition.baseid or 'the root'} was expected to be of session scope and without"
            " arguments, as the names of students are known before any fixture is set up; let it return models by name."
        )
    return function()
