"""Frozen dataclasses ↔ strict JSON, by the annotations of their fields.

A field whose JSON key differs from its name declares it: ``field(metadata={"json": "key"})``. One that stands in the
JSON only where its value differs from its default declares ``field(default=…, metadata={"json_default": "left out"})``;
one that stands in no JSON declares ``field(default=…, metadata={"json": None})``.
"""

from __future__ import annotations

import math
import types
from collections.abc import Callable
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np

from pytest_kdmem.errors.harmless import listed

Value = TypeVar("Value")
Decode = Callable[[Any], Any]
PLAIN_KINDS = {bool, int, float, str, type(None)}
INT64 = range(-(1 << 63) + 1, 1 << 63)


def to_json(value: Any) -> Any:
    """The JSON form of a value: dataclasses as objects, tuples and arrays as lists, NaN as None, infinity as "inf"."""
    if is_dataclass(value):
        return {_key(field): to_json(entry) for field, entry in _entries(value)}
    if isinstance(value, dict):
        return {key: to_json(entry) for key, entry in value.items()}
    if isinstance(value, np.ndarray):
        return to_json(value.tolist())
    if isinstance(value, list | tuple):
        # A column of a report holds very many plain values.
        is_plain = set(map(type, value)) <= PLAIN_KINDS
        return list(map(to_json_number if is_plain else to_json, value))
    return to_json_number(value)


def from_json(kind: type[Value], content: Any, *, complete: bool = False) -> Value:
    """Decode what `to_json` made of a value of the dataclass ``kind``.

    Args:
        kind: The dataclass.
        content: The JSON object.
        complete: Also require the entries whose fields have a default.

    Raises:
        TypeError, ValueError: The content is none of that kind; the message names the field.
    """
    annotation: Any = kind
    value: Value = _decoder(annotation)(content)
    if complete and (missing := {_key(field) for field, _ in _entries(value)} - content.keys()):
        raise TypeError(f"{listed(sorted(missing))} of {kind.__name__} missing")
    return value


def to_json_number(value: Any) -> Any:
    """NaN as None, an infinity as "inf" or "-inf", anything else as it is."""
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


def from_json_number(value: Any) -> float:
    """Decode what `to_json_number` made of a number."""
    return math.nan if value is None else float(value)


def _fields(kind: Any) -> list[Field[Any]]:
    """The fields of a dataclass that stand in its JSON."""
    return [field for field in fields(kind) if field.metadata.get("json", field.name) is not None]


def _entries(value: Any) -> list[tuple[Field[Any], Any]]:
    """The fields of a dataclass that its JSON holds, with their values."""
    entries = ((field, getattr(value, field.name)) for field in _fields(value))
    return [(key, entry) for key, entry in entries if "json_default" not in key.metadata or entry != _default(key)]


def _default(field: Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def _key(field: Field[Any]) -> str:
    key: str = field.metadata.get("json", field.name)
    return key


@cache
def _decoder(kind: Any) -> Decode:
    """The function that decodes values of an annotation."""
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return lambda value: value
    if is_dataclass(kind):
        return _object(kind)
    if origin is Literal:
        return _choice(arguments)
    if origin in (Union, types.UnionType):
        return _union(arguments)
    if origin is tuple:
        return _tuple_of(arguments[0]) if arguments[-1] is ... else _tuple(arguments)
    if origin is dict:
        return _mapping(arguments[1])
    if origin is np.ndarray:
        return _array
    if kind is float:
        return _number
    return _whole_number if kind is int else _exactly(kind)


def _object(kind: Any) -> Decode:
    hints = get_type_hints(kind)
    by_key = {_key(field): field for field in _fields(kind)}
    decoders = {key: _decoder(hints[field.name]) for key, field in by_key.items()}
    required = {key for key, field in by_key.items() if field.default is MISSING and field.default_factory is MISSING}

    def decode(value: Any) -> Any:
        entries = _exactly(dict)(value)
        for problem, keys in (("missing", required - entries.keys()), ("unknown", entries.keys() - decoders.keys())):
            if keys:
                raise TypeError(f"{listed(sorted(keys))} of {kind.__name__} {problem}")
        arguments = {}
        for key, entry in entries.items():
            try:
                arguments[by_key[key].name] = decoders[key](entry)
            except (TypeError, ValueError) as error:
                raise TypeError(f"{key}: {error}") from None
        return kind(**arguments)

    return decode


def _union(kinds: tuple[Any, ...]) -> Decode:
    """One dataclass for objects, and one kind or several plain kinds (``int | str``) for anything else."""
    optional = type(None) in kinds
    dataclasses: list[Any] = [kind for kind in kinds if is_dataclass(kind)]
    others = [kind for kind in kinds if kind is not type(None) and kind not in dataclasses]
    decode_object = _decoder(dataclasses[0]) if dataclasses else None
    decode_other = _plain(others) if len(others) > 1 else _decoder(others[0]) if others else None

    def decode(value: Any) -> Any:
        if value is None and optional:
            return None
        if decode_object and (isinstance(value, dict) or decode_other is None):
            return decode_object(value)
        assert decode_other is not None
        return decode_other(value)

    return decode


def _plain(kinds: list[Any]) -> Decode:
    def decode(value: Any) -> Any:
        if type(value) in kinds:
            return value
        if float in kinds:
            return _number(value)
        raise TypeError(f"{' or '.join(kind.__name__ for kind in kinds)} was expected")

    return decode


def _tuple_of(kind: Any) -> Decode:
    decode = _decoder(kind)
    return lambda value: tuple(map(decode, _exactly(list)(value)))


def _tuple(kinds: tuple[Any, ...]) -> Decode:
    decoders = [_decoder(kind) for kind in kinds]
    return lambda value: tuple(decode(entry) for decode, entry in zip(decoders, _exactly(list)(value), strict=True))


def _mapping(kind: Any) -> Decode:
    decode = _decoder(kind)
    return lambda value: {key: decode(entry) for key, entry in _exactly(dict)(value).items()}


def _array(value: Any) -> Any:
    """A float64 array of any shape; whether it is the expected one, its owner checks."""
    array = np.array(_exactly(list)(value))
    if array.dtype.kind not in "if":
        raise TypeError("lists of numbers, all equally long, were expected")
    return array.astype(np.float64)


def _choice(choices: tuple[Any, ...]) -> Decode:
    def decode(value: Any) -> Any:
        if value not in choices:
            raise ValueError(f"one of {', '.join(map(str, choices))} was expected")
        return value

    return decode


def _number(value: Any) -> float:
    if isinstance(value, bool) or not (value is None or isinstance(value, int | float) or value in ("inf", "-inf")):
        raise TypeError("a number was expected")
    try:
        return from_json_number(value)
    except OverflowError:
        raise ValueError("a number within the range of floats was expected") from None


def _whole_number(value: Any) -> int:
    number: int = _exactly(int)(value)
    if number not in INT64:
        raise ValueError("a whole number of 64 bits was expected")
    return number


def _exactly(kind: type) -> Decode:
    def decode(value: Any) -> Any:
        if type(value) is not kind:
            raise TypeError(f"{kind.__name__} was expected")
        return value

    return decode
