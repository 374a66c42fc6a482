"""Which audit a test belongs to: that of the deepest folder, module or class that declares something of its roles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pytest_kdmem.errors import SpecError
from pytest_kdmem.plugin.collection import AUDIT_FIXTURES, is_audit
from pytest_kdmem.plugin.settings import Settings
from pytest_kdmem.specs.roles import MODEL_ROLES, ROLES

# A fixture by name and level: 1 is what the test gets, 2 what that overrides and may ask for under its own name.
Level = tuple[str, int]
Definition = Any  # pytest.FixtureDef of any value
Parts = dict[Level, Definition]
CURRENT = pytest.StashKey[pytest.Item]()
MADE_OF = pytest.StashKey[dict[Definition, Parts]]()  # what was set up for more than one test, and of what


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


def reached(item: pytest.Item, names: Iterable[str]) -> Parts:
    """The definitions that a test gets by these names, with all those that they ask for in turn."""
    found: Parts = {}
    pending: list[Level] = [(name, 1) for name in names]
    while pending:
        level = pending.pop()
        if level not in found and (definition := _definition(item, level)) is not None:
            found[level] = definition
            name, depth = level
            pending += [(asked, depth + 1 if asked == name else 1) for asked in definition.argnames]
    return found


def check_declared(item: pytest.Item) -> None:
    """Raise SpecError where what a test's roles are made of changes within its audit, or lies beside the test."""
    for conftest in _conftests_beside(item):
        raise SpecError(
            f"What {item.nodeid} audits was expected to be declared above it, and {conftest} lies outside the root"
            f" {item.config.rootpath}, so that pytest holds it to declare for all tests; add --rootdir=… with a folder"
            " that holds both."
        )
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


def mistaken(items: Sequence[pytest.Item], settings: Settings) -> str:
    """What is wrong with a run of several audits as a whole, or nothing."""
    return _nodeid_of_two(items) or _misnamed_model(items, settings)


def _nodeid_of_two(items: Sequence[pytest.Item]) -> str:
    """What is wrong where one would stand in the report for the other."""
    known: dict[str, Path] = {}
    for item in filter(is_audit, items):
        if known.setdefault(item.nodeid, item.path) != item.path:
            return (
                f"One test of each name was expected, and {item.path} and {known[item.nodeid]} both hold {item.nodeid};"
                " add --rootdir=… with a folder that holds both."
            )
    return ""


def _misnamed_model(items: Sequence[pytest.Item], settings: Settings) -> str:
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
    """Tear down what an audit's test would be handed, and which was made of other parts than the test itself has.

    pytest sets up a session's fixture once, even if it asks for one that is overridden in the next folder, and whoever
    asked for it first.
    """
    item.config.stash[CURRENT] = item
    if not is_audit(item):
        if hasattr(item, "_request"):  # a Python test
            _refuse_audits(item)
        return
    for definition, parts in item.config.stash.get(MADE_OF, {}).items():
        is_other = any(_definition(item, level) is not part for level, part in parts.items())
        if is_other and (_concerns_audits(parts) or definition in _visible(item, definition.argname)):
            _finish(item, definition)


def note(definition: Definition, request: pytest.FixtureRequest) -> None:
    """Keep what a fixture is made of, which is about to be set up."""
    if definition.scope != "function":
        made_of = request.config.stash.setdefault(MADE_OF, {})
        made_of[definition] = _parts(request._pyfuncitem, definition.argname)


def follow(request: pytest.FixtureRequest) -> None:
    """Count what a fixture asks for by ``request.getfixturevalue`` as what it is made of, as pytest does its arguments.

    Else it would outlive the models of its audit.
    """
    ask, definition = request.getfixturevalue, request._fixturedef  # type: ignore[attr-defined]
    followed = set()

    def getfixturevalue(argname: str) -> Any:
        made_for = request._pyfuncitem
        running = request.config.stash.get(CURRENT, made_for)
        parts = _parts(running, argname)
        if not is_audit(running):
            _refuse_unless_audit(running, parts)
        elif parts != _parts(made_for, argname):
            raise SpecError(
                f"The same {argname} was expected throughout the life of fixture {definition.argname}, which was made"
                f" for {made_for.nodeid}, and {running.nodeid} has another; let {definition.argname} ask for {argname}"
                " among its arguments."
            )
        value = ask(argname)
        if definition.scope != "function" and argname not in followed:
            followed.add(argname)
            request.config.stash.setdefault(MADE_OF, {}).setdefault(definition, {}).update(parts)
            request._get_active_fixturedef(argname).addfinalizer(partial(definition.finish, request))
        return value

    request.getfixturevalue = getfixturevalue  # type: ignore[method-assign]


def _refuse_audits(item: Any) -> None:
    """Let a test that is no audit not be handed, set up already, what only audits may ask for."""
    ask = item._request.getfixturevalue

    def getfixturevalue(argname: str) -> Any:
        _refuse_unless_audit(item, reached(item, [argname]))
        return ask(argname)

    item._request.getfixturevalue = getfixturevalue


def _refuse_unless_audit(item: pytest.Item, parts: Parts) -> None:
    if any(name == "_kdmem_audit" for name, _ in parts):
        check_is_audit(item)


def check_is_audit(item: pytest.Item) -> None:
    """Raise SpecError for a test that stands in no report."""
    if not is_audit(item):
        raise SpecError(
            f"memorization was expected among the arguments of {item.nodeid} or of a fixture it uses, so that it is"
            " known for an audit before it runs, and was only asked for by request.getfixturevalue; name it there."
        )


def _parts(item: pytest.Item, name: str) -> Parts:
    """What a fixture is made of; ours are of the audit as a whole."""
    parts = reached(item, [name])
    ours = any(asked in AUDIT_FIXTURES for asked, _ in parts)
    return parts | reached(item, ROLES) if ours else parts


def _concerns_audits(parts: Parts) -> bool:
    return any(name in AUDIT_FIXTURES + ROLES for name, _ in parts)


def _conftests_beside(item: pytest.Item) -> Iterator[str]:
    """Files outside the root and not above a test that declare something of what its roles are made of.

    pytest places a conftest by its path from the root; what lies elsewhere it takes to be the root's own.
    """
    root, parents = item.config.rootpath, item.path.parents
    parts = reached(item, ROLES)
    for path, module in item.config.pluginmanager.list_name_plugin():
        if not path.endswith("conftest.py") or Path(path).is_relative_to(root) or Path(path).parent in parents:
            continue
        files = (getattr(getattr(part.func, "__code__", None), "co_filename", "") for part in parts.values())
        if path in files or any(hasattr(module, name) for name, _ in parts if name != "request"):
            yield path


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
