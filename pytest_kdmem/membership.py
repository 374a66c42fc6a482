"""Which audit a test belongs to: that of the deepest folder, module or class that declares something of its roles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from pytest_kdmem.errors import SpecError
from pytest_kdmem.fixtures import AUDIT_FIXTURES, MODEL_ROLES, ROLES
from pytest_kdmem.plugin import is_audit
from pytest_kdmem.settings import Settings

# A fixture by name and level: 1 is what the test gets, 2 what that overrides and may ask for under its own name.
Level = tuple[str, int]
Definition = Any  # pytest.FixtureDef of any value
ENTERED = pytest.StashKey[dict[Level, Definition]]()


@dataclass(frozen=True)
class Membership:
    """The audit of a test by name: where its roles are declared, relative to the root; "" is the root itself.

    All that a test can see is declared on the one way from the root to it. So tests whose deepest declaration lies at
    the same place have the same declarations, and the place tells audits apart.
    """

    audit: str
    places: dict[str, str]


def membership_of(item: pytest.Item) -> Membership:
    places = {role: _deepest(reached(item, [role]).values()) for role in ROLES}
    return Membership(max(places.values(), key=len), places)


def reached(item: pytest.Item, names: Iterable[str]) -> dict[Level, Definition]:
    """The definitions that a test gets by these names, with all those that they ask for in turn."""
    found: dict[Level, Definition] = {}
    pending: list[Level] = [(name, 1) for name in names]
    while pending:
        level = pending.pop()
        if level not in found and (definition := _definition(item, level)) is not None:
            found[level] = definition
            name, depth = level
            pending += [(asked, depth + 1 if asked == name else 1) for asked in definition.argnames]
    return found


def check_declared(item: pytest.Item) -> None:
    """Raise SpecError where what a test's roles are made of changes within its audit."""
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    for role in ROLES:
        for (name, _), definition in reached(item, [role]).items():
            wrong_scope = name == role and definition.scope != "session"
            if wrong_scope or definition.params is not None or name in parameters:
                raise SpecError(
                    f"Fixture {name} was expected to be of session scope and without parameters in {item.nodeid}; to"
                    " audit several models, give each a folder with a conftest.py of its own, or other names:"
                    " memorization(model) takes any."
                )


def misnamed_model(items: Sequence[pytest.Item], settings: Settings) -> str:
    """What is wrong where a model is named for this run and would be judged in the place of several audits' own."""
    for role in MODEL_ROLES:
        if not settings.overrides(role):
            continue
        audits: dict[str, str] = {}  # place → an audit that gets the role from there
        for item in filter(is_audit, items):
            member = membership_of(item)
            audits.setdefault(member.places[role], member.audit)
        if len(audits) > 1:
            place, one = settings.places[role], next(filter(None, audits.values()))
            named = f"`pytest {one} {place} …`" if place.startswith("-") else f"`{place}=… pytest {one}`"
            shown = ", ".join(sorted(audit or "the root" for audit in audits.values()))
            return (
                f"{place}: one {role} was named, and several audits declare their own ({shown}); select one: {named}."
            )
    return ""


def enter(item: pytest.Item) -> None:
    """Tear down what was set up for another audit and would be handed on to this test.

    pytest sets up a session's fixture once, even if it asks for one that is overridden in the next folder. Tearing down
    what is overridden tears down all that was made of it, too.
    """
    if not hasattr(item, "_request"):  # no Python test: it asks for no fixtures
        return
    for level, definition in item.config.stash.get(ENTERED, {}).items():
        if _definition(item, level) is not definition:
            _finish(item, definition)
            for audit in _visible(item, "_kdmem_audit"):
                _finish(item, audit)
    if is_audit(item):
        entered(item)


def entered(item: pytest.Item) -> None:
    """Note what an audit's test is given, for those after it."""
    item.config.stash[ENTERED] = reached(item, ROLES)


def follow(request: pytest.FixtureRequest) -> None:
    """Count what a fixture asks for by ``request.getfixturevalue`` as what it is made of, as pytest does its arguments.

    Else it would outlive the models of its audit. What has nothing to do with an audit is left alone.
    """
    ask, definition = request.getfixturevalue, request._fixturedef  # type: ignore[attr-defined]

    def getfixturevalue(argname: str) -> Any:
        value = ask(argname)
        if any(name in AUDIT_FIXTURES + ROLES for name, _ in reached(request._pyfuncitem, [argname])):
            asked = request._get_active_fixturedef(argname)
            asked.addfinalizer(partial(definition.finish, request))
        return value

    request.getfixturevalue = getfixturevalue  # type: ignore[method-assign]


def _finish(item: pytest.Item, definition: Definition) -> None:
    if definition.cached_result is not None:
        definition.finish(getattr(item, "_request"))  # noqa: B009 (no public name)


def _definition(item: pytest.Item, level: Level) -> Definition | None:
    name, depth = level
    visible = _visible(item, name)
    return visible[-depth] if depth <= len(visible) else None


def _visible(item: pytest.Item, name: str) -> Sequence[Definition]:
    """All definitions of a name that a test can see, the nearest last."""
    known: Any = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {})
    manager: Any = item.session._fixturemanager
    return known.get(name) or manager.getfixturedefs(name, item) or ()


def _deepest(definitions: Iterable[Definition]) -> str:
    places: Iterator[str] = (definition.baseid for definition in definitions)
    return max(places, key=len, default="")
