"""Frozen values ↔ strict JSON, by the annotations of their fields."""

from __future__ import annotations

import math
import types
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

Value = TypeVar("Value")
Read = Callable[[Any], Any]


def to_json(value: Any) -> Any:
    """Dataclasses as objects, tuples as lists, all the way down; NaN as None and an infinity as "inf" or "-inf"."""
    if is_dataclass(value):
        return {field.name: to_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {key: to_json(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(entry) for entry in value]
    return to_json_number(value)


def from_json(kind: type[Value], content: Any) -> Value:
    """What `to_json` was given, a value of ``kind``.

    Raises:
        TypeError, ValueError: it is none; the message names the field.
    """
    of_kind: Any = kind
    read: Value = _reader(of_kind)(content)
    return read


def to_json_number(value: Any) -> Any:
    """NaN as None, an infinity as "inf" or "-inf", anything else as it is."""
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


def from_json_number(value: Any) -> float:
    """What `to_json_number` was given."""
    return math.nan if value is None else float(value)


@cache
def _reader(kind: Any) -> Read:
    """How a value of an annotation is read."""
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return lambda value: value
    if is_dataclass(kind):
        return _fields_of(kind)
    if origin is Literal:
        return _one_of(arguments)
    if origin in (Union, types.UnionType):
        return _either(arguments)
    if origin is tuple:
        return _each(arguments[0]) if arguments[-1] is ... else _in_order(arguments)
    if origin is dict:
        return _entries(arguments[1])
    if kind is float:
        return _number
    return _exactly(dict if kind is dict else kind)


def _fields_of(kind: Any) -> Read:
    hints = get_type_hints(kind)
    readers = {field.name: _reader(hints[field.name]) for field in fields(kind)}
    needed = {field.name for field in fields(kind) if field.default is MISSING and field.default_factory is MISSING}

    def read(value: Any) -> Any:
        given = _exactly(dict)(value)
        for what, names in (("missing", needed - given.keys()), ("unknown", given.keys() - readers.keys())):
            if names:
                raise TypeError(f"{', '.join(sorted(map(str, names)))} of {kind.__name__} {what}")
        found = {}
        for name, entry in given.items():
            try:
                found[name] = readers[name](entry)
            except (TypeError, ValueError) as error:
                raise TypeError(f"{name}: {error}") from None
        return kind(**found)

    return read


def _either(kinds: tuple[Any, ...]) -> Read:
    """The one kind that an object, a number or nothing can be of."""
    optional = type(None) in kinds
    told = [kind for kind in kinds if kind is not type(None)]
    shaped = set(filter(is_dataclass, told))
    objects = [_reader(kind) for kind in told if kind in shaped]
    others = [_reader(kind) for kind in told if kind not in shaped]

    def read(value: Any) -> Any:
        if value is None and optional:
            return None
        chosen = objects if objects and (isinstance(value, dict) or not others) else others
        return chosen[0](value)

    return read


def _each(kind: Any) -> Read:
    read = _reader(kind)
    return lambda value: tuple(map(read, _exactly(list)(value)))


def _in_order(kinds: tuple[Any, ...]) -> Read:
    readers = [_reader(kind) for kind in kinds]
    return lambda value: tuple(read(entry) for read, entry in zip(readers, _exactly(list)(value), strict=True))


def _entries(kind: Any) -> Read:
    read = _reader(kind)
    return lambda value: {key: read(entry) for key, entry in _exactly(dict)(value).items()}


def _one_of(choices: tuple[Any, ...]) -> Read:
    def read(value: Any) -> Any:
        if value not in choices:
            raise ValueError(f"one of {', '.join(map(str, choices))} was expected")
        return value

    return read


def _number(value: Any) -> float:
    if isinstance(value, bool) or not (value is None or isinstance(value, int | float) or value in ("inf", "-inf")):
        raise TypeError("a number was expected")
    return from_json_number(value)


def _exactly(kind: type) -> Read:
    def read(value: Any) -> Any:
        if type(value) is not kind:
            raise TypeError(f"{kind.__name__} was expected")
        return value

    return read
