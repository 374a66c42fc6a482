"""Which fixture definitions a test sees, as pytest's fixture manager has them.

PYTEST_DONT_REWRITE: loaded in every run of pytest, and without an assert.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pytest

Definition = Any  # pytest.FixtureDef of any value
# A fixture's name and level: 1 is the definition that a test gets, 2 the one that it overrides and may ask for, …
Level = tuple[str, int]


def visible_definitions(item: pytest.Item, name: str) -> Sequence[Definition]:
    """Return all definitions of a fixture name that a test sees, the nearest last."""
    # pytest has no public function for this; its fixture manager registers itself as a plugin of this name.
    manager: Any = item.config.pluginmanager.get_plugin("funcmanage")
    return manager.getfixturedefs(name, item) or ()


def definition_at(item: pytest.Item, level: Level) -> Definition | None:
    """Return the definition of a fixture at a level, or None if the test sees none there."""
    name, depth = level
    visible = visible_definitions(item, name)
    return visible[-depth] if depth <= len(visible) else None


def reached_definitions(item: pytest.Item, names: Iterable[str]) -> dict[Level, Definition]:
    """Return the definitions that a test gets by these names, with those they ask for as arguments, in turn."""
    reached: dict[Level, Definition] = {}
    pending: list[Level] = [(name, 1) for name in names]
    while pending:
        level = pending.pop()
        if level not in reached and (definition := definition_at(item, level)) is not None:
            reached[level] = definition
            name, depth = level
            pending += [(argument, depth + 1 if argument == name else 1) for argument in definition.argnames]
    return reached


def parameters_of(item: pytest.Item) -> Mapping[str, object]:
    """Return the values by which a test is parametrized, by argument name."""
    parameters: Mapping[str, object] = getattr(getattr(item, "callspec", None), "params", {})
    return parameters
