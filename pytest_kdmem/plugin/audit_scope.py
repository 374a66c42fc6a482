"""Which audit a test belongs to: that of the deepest folder, module or class that declares one of its roles."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from pytest_kdmem.errors import SpecError
from pytest_kdmem.plugin.collection import is_audit
from pytest_kdmem.plugin.fixture_lookup import Definition, parameters_of, reached_definitions
from pytest_kdmem.plugin.settings import Settings
from pytest_kdmem.plugin.student import student_name
from pytest_kdmem.specs.roles import MODEL_ROLES, ROLES
from pytest_kdmem.specs.students import student_audit_name


@dataclass(frozen=True)
class AuditScope:
    """The audit that a test belongs to.

    All that a test sees is declared on the one way from the root to it. So tests whose deepest declarations lie at the
    same place see the same declarations, and the place names the audit.

    Of several students that are declared there, each has an audit of its own; teacher, baseline and sets are the same.

    Attributes:
        place: Node id of the folder, module or class that names the audit; "" is the root.
        declared_at: Node id of the deepest declaration that each role is made of, by role.
        student: Name of the student if the test is about one of several; empty otherwise.
    """

    place: str
    declared_at: dict[str, str]
    student: str = ""

    @property
    def audit(self) -> str:
        """Name of the audit."""
        return student_audit_name(self.place, self.student)


def scope_of(item: pytest.Item) -> AuditScope:
    """Return the audit that a test belongs to."""
    declared_at = {role: _deepest(reached_definitions(item, [role]).values()) for role in (*ROLES, "students")}
    return AuditScope(max(declared_at.values(), key=len), declared_at, student_name(item))


def check_declared(item: pytest.Item) -> None:
    """Check that the roles of a test are the same throughout its audit, and declared above it.

    Raises:
        SpecError: A role has parameters or a narrower scope than the session, or is declared beside the test.
    """
    for conftest in _conftests_beside(item):
        raise SpecError(
            f"What {item.nodeid} audits was expected to be declared above it, and {conftest} lies outside the root"
            f" {item.config.rootpath}, so that pytest takes its fixtures for those of all tests; add --rootdir=… with a"
            " folder that holds both."
        )
    parameters = parameters_of(item).keys() - {"student" if student_name(item) else ""}
    for role in ROLES:
        for (name, _), definition in reached_definitions(item, [role]).items():
            wrong_scope = name == role and definition.scope != "session"
            arguments = {name, *definition.argnames}
            if wrong_scope or definition.params is not None or not arguments.isdisjoint(parameters):
                raise SpecError(
                    f"Fixture {name} was expected to be of session scope and without parameters in {item.nodeid}; to"
                    " audit several models, give each a folder with a conftest.py of its own, or other names:"
                    " memorization(model) takes any."
                )


def check_is_audit(item: pytest.Item | None) -> None:
    """Check that a test stands in the report.

    Raises:
        SpecError: It asks for an audit only while it runs.
    """
    if item is None or not is_audit(item):
        # In a run that holds no audit nobody keeps the running test but pytest, which names it so.
        nodeid = os.environ.get("PYTEST_CURRENT_TEST", "a test ()").rpartition(" ")[0]
        raise SpecError(
            f"memorization was expected among the arguments of {nodeid} or of a fixture it uses, so that it is known"
            " for an audit before it runs, and was only asked for by request.getfixturevalue; name it there."
        )


def session_error(items: Sequence[pytest.Item], settings: Settings) -> str:
    """Return why several audits cannot be held in one session, or an empty string if they can."""
    return _ambiguous_nodeid(items) or _ambiguous_model(items, settings)


def _ambiguous_nodeid(items: Sequence[pytest.Item]) -> str:
    """Return an error if two tests have one node id, so that one would stand in the report for the other."""
    paths: dict[str, Path] = {}
    for item in filter(is_audit, items):
        if paths.setdefault(item.nodeid, item.path) != item.path:
            return (
                f"One test of each name was expected, and {item.path} and {paths[item.nodeid]} both hold {item.nodeid};"
                " add --rootdir=… with a folder that holds both."
            )
    return ""


def _ambiguous_model(items: Sequence[pytest.Item], settings: Settings) -> str:
    """Return an error if one model is named for this run and several audits declare their own in that role."""
    for role in (*MODEL_ROLES, "students"):
        if not settings.overrides(role):
            continue
        audits: dict[str, str] = {}  # where the role is declared → an audit that has it from there
        for item in filter(is_audit, items):
            scope = scope_of(item)
            audits.setdefault(scope.declared_at[role], scope.audit)
        if len(audits) > 1:
            place, selected = settings.places[role], next(filter(None, audits.values()))
            command = f"`pytest {selected} {place} …`" if place.startswith("-") else f"`{place}=… pytest {selected}`"
            names = ", ".join(sorted(audit or "the root" for audit in audits.values()))
            return (
                f"{place}: one {role} was named, and several audits declare their own ({names}); select one: {command}."
            )
    return ""


def _conftests_beside(item: pytest.Item) -> Iterator[str]:
    """Yield files outside the root, and not above the test, that declare something of what its roles are made of.

    pytest places a conftest by its path from the root; what lies elsewhere it takes for the root's own.
    """
    root, parents = item.config.rootpath, item.path.parents
    reached = reached_definitions(item, (*ROLES, "students"))
    for path, module in item.config.pluginmanager.list_name_plugin():
        if not path.endswith("conftest.py") or Path(path).is_relative_to(root) or Path(path).parent in parents:
            continue
        files = (getattr(getattr(part.func, "__code__", None), "co_filename", "") for part in reached.values())
        if path in files or any(hasattr(module, name) for name, _ in reached if name != "request"):
            yield path


def _deepest(definitions: Iterable[Definition]) -> str:
    """Return the longest node id at which one of the definitions was declared."""
    nodeids: Iterator[str] = (definition.baseid for definition in definitions)
    return max(nodeids, key=len, default="")
