"""Fixtures that pytest keeps for several tests, and which of them a test of another audit must not be handed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from inspect import getattr_static
from pathlib import Path

import pytest

from pytest_kdmem.errors import SpecError
from pytest_kdmem.plugin.collection import AUDIT_FIXTURES, FIXTURES_MODULES, is_audit
from pytest_kdmem.plugin.fixture_lookup import (
    Definition,
    Level,
    definition_at,
    parameters_of,
    reached_definitions,
    visible_definitions,
)
from pytest_kdmem.specs.roles import ROLES

FIXTURE_TYPE = type(pytest.fixture(lambda: None))  # what `@pytest.fixture` leaves in a module or class
UNSET = object()


@dataclass(frozen=True)
class Setup:
    """How a fixture came by its value.

    Attributes:
        request: Request under which it was set up, and is torn down.
        by_audit: Whether an audit asked for it.
        definitions: Definitions that it was made of, its own included.
        parameters: Values by which the test was parametrized, by argument name.
        declaring_nodes: Where fixtures are declared for the test; None if the fixture asks for others as arguments
            only, and not by ``request.getfixturevalue``.
    """

    request: pytest.FixtureRequest
    by_audit: bool
    definitions: Mapping[Level, Definition]
    parameters: Mapping[str, object]
    declaring_nodes: list[object] | None

    @property
    def names(self) -> set[str]:
        """Names of everything that the fixture was made of."""
        arguments = {name for definition in self.definitions.values() for name in definition.argnames}
        return arguments.union(name for name, _ in self.definitions)


class FixtureCache:
    """Keeps how each fixture of a wider scope than one test was set up, and tears it down where that was for others.

    pytest sets up a session's fixture once, whoever asks for it first, even if it is made of one that the next folder
    overrides. Another audit would be judged by its value.
    """

    def __init__(self) -> None:
        self._setups: dict[Definition, Setup] = {}
        self._wide_parameters: set[str] = set()  # arguments parametrized in a wider scope than one test

    def note_setup(self, definition: Definition, request: pytest.FixtureRequest, item: pytest.Item) -> None:
        """Keep what a fixture is made of that is about to be set up while a test runs.

        Raises:
            SpecError: An audit gets it by the request of another test.
        """
        parameters, name = parameters_of(item), definition.argname
        if is_audit(item) and name not in parameters and definition not in visible_definitions(item, name):
            raise SpecError(
                f"Fixtures that {item.nodeid} sees were expected while it runs, and {name} of"
                f" {definition.baseid or 'the root'} was asked for, by a request that was kept from another test; let"
                " each test or fixture ask by its own request."
            )
        if definition.scope == "function":
            return
        if name in parameters:
            self._wide_parameters.add(name)
        definitions = reached_definitions(item, [name])
        if any(reached in AUDIT_FIXTURES for reached, _ in definitions):  # ours are made of the audit as a whole
            definitions |= reached_definitions(item, (*ROLES, "students"))
        nodes = _declaring_nodes(item) if any(map(_asks_at_run_time, definitions.values())) else None
        self._setups[definition] = Setup(request, is_audit(item), definitions, parameters, nodes)

    def tear_down_stale(self, item: pytest.Item) -> None:
        """Tear down all that a test could be handed, and that it would be handed otherwise if it were set up anew."""
        for definition, setup in list(self._setups.items()):
            if definition.cached_result is None:
                del self._setups[definition]
            elif self._is_stale(definition, setup, item):
                definition.finish(setup.request)

    def _is_stale(self, definition: Definition, setup: Setup, item: pytest.Item) -> bool:
        names = setup.names
        # A test that is no audit is handed nothing of one, nor an audit the error that such a test got.
        if "_kdmem_audit" in names and setup.by_audit != is_audit(item):
            return "request" in getattr(item, "fixturenames", ())
        if not (setup.by_audit or is_audit(item)) or not self._has_changed(setup, item):
            return False
        return not names.isdisjoint(AUDIT_FIXTURES + ROLES) or definition in visible_definitions(
            item, definition.argname
        )

    def _has_changed(self, setup: Setup, item: pytest.Item) -> bool:
        """Whether a fixture would be made of something else for this test."""
        if any(definition_at(item, level) is not part for level, part in setup.definitions.items()):
            return True
        names, parameters = setup.names, parameters_of(item)
        if setup.declaring_nodes is not None:
            if setup.declaring_nodes != _declaring_nodes(item):
                return True
            names |= self._wide_parameters
        return any(parameters.get(name, UNSET) is not setup.parameters.get(name, UNSET) for name in names)


def _asks_at_run_time(definition: Definition) -> bool:
    """Whether a fixture may ask for any other while it runs; those of pytest and of this plugin ask for none unseen."""
    module = getattr(definition.func, "__module__", None) or ""
    return "request" in definition.argnames and module not in FIXTURES_MODULES and not module.startswith("_pytest.")


def _declaring_nodes(item: pytest.Item) -> list[object]:
    """Return the folders, module and classes above a test that declare fixtures: tests below the same see the same."""
    plugins = item.config.pluginmanager.list_name_plugin()
    folders = {Path(name).parent for name, _ in plugins if name.endswith("conftest.py")}
    return [node for node in item.listchain() if _declares_fixtures(node, folders)]


def _declares_fixtures(node: object, conftest_folders: set[Path]) -> bool:
    if isinstance(node, pytest.Directory):
        return node.path in conftest_folders
    if not isinstance(node, pytest.Module | pytest.Class):
        return False
    return any(isinstance(getattr_static(node.obj, name, None), FIXTURE_TYPE) for name in dir(node.obj))
