"""Damages files at random: bytes of any file, values and keys of JSON. The same seed makes the same damage."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

NUMBERS = (0, 1, -1, 127, 255, 1 << 15, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 40, 1 << 62, 2**63 - 1, -(2**63))
OTHER_NUMBERS = (0.0, 1.0, -1.0, 0.5, 2.0, 1e-300, 5e-324, 5e299, 1.7e308, -5e299, None, "inf", "-inf", 1e18)
DEEP = 3000


def _deep() -> Any:
    """Lists in lists, written as text, as Python itself cannot encode them."""
    return json.loads("[" * 200 + "]" * 200)


EVIL_VALUES: tuple[Any, ...] = (
    None, True, False, [], {}, "", " ", "x" * 3000, "\ud800", "a\0b", "\x1b[31m", "\u202e", "::error::x", "##[error]x",
    "../../etc/passwd", "/dev/zero", "https://user:hunter2@host", "a\nb", "inf", "nan", "1", float("nan"), float("inf"),
    float("-inf"), 5e-324, 5e299, 1.7e308, -0.0, 0.5, 1e-9, -1.5, 10**30, -(10**30), *NUMBERS, [[]], [None], [1, "a"],
    {"": None}, {"a": {"b": []}}, [0] * 300, _deep(),
)  # fmt: skip
# Marks in JSON text that no parser of Python's makes, or that make it fail.
RAW = (b"9" * 5000, b"-1e999999", b"[" * DEEP, b'{"a":' * DEEP, b"\xff\xfe", b'"\\ud800"', b"\0", b'"\\u0000"', b"NaN")


def damage_bytes(random_: random.Random, content: bytes, end: int | None = None) -> bytes:
    """Return content with some bytes changed, inserted, moved or removed; ``end`` bounds where."""
    damaged = bytearray(content)
    for _ in range(random_.choice((1, 1, 1, 2, 4, 16))):
        if not damaged:
            break
        at = random_.randrange(min(len(damaged), end or len(damaged)))
        match random_.randrange(8):
            case 0:
                damaged[at] ^= 1 << random_.randrange(8)
            case 1:
                damaged[at] = random_.choice((0, 1, 127, 128, 255))
            case 2:
                del damaged[at : at + random_.choice((1, 4, 64, len(damaged)))]
            case 3:
                damaged[at:at] = random_.randbytes(random_.choice((1, 4, 64)))
            case 4:
                width = random_.choice((4, 8))
                value = random_.choice(NUMBERS) & ((1 << 8 * width) - 1)
                damaged[at - at % 4 : at - at % 4 + width] = value.to_bytes(width, "little")
            case 5:
                source, length = random_.randrange(len(damaged)), random_.choice((4, 8, 32))
                damaged[at : at + length] = damaged[source : source + length]
            case 6:
                damaged[at:at] = random_.choice(RAW)
            case _:
                del damaged[at:]
    return bytes(damaged)


def damage_json(random_: random.Random, value: Any) -> bytes:
    """Return the JSON text of a value of which some parts are replaced, renamed, repeated or removed."""
    damaged = copy.deepcopy(value)
    for _ in range(random_.choice((1, 1, 2, 3))):
        places = list(_places(damaged)) if isinstance(damaged, list | dict) else []
        if not places:
            break
        parent, key = random_.choice(places)
        match random_.randrange(6):
            case 0 if isinstance(parent, dict):
                parent[random_.choice(("x", "\x1b", "y" * 500, "two\nlines", "", key.upper()))] = parent.pop(key)
            case 1:
                del parent[key]
            case 2 if isinstance(parent, list):
                parent.insert(key, copy.deepcopy(parent[key]))
            case 3 if type(parent[key]) in (int, float):
                parent[key] = random_.choice((-parent[key], parent[key] * 10**6, parent[key] + 0.5, *NUMBERS, 5e299, 0))
            case _:
                parent[key] = copy.deepcopy(random_.choice(EVIL_VALUES))
    return json.dumps(damaged).encode()


def damage_values(random_: random.Random, value: Any) -> bytes:
    """Return the JSON text of a value of which parts have other values of their kind, which may be out of range."""
    damaged = copy.deepcopy(value)
    places = [(parent, key) for parent, key in _places(damaged) if parent[key] is not None]
    for parent, key in random_.sample(places, min(len(places), random_.choice((1, 1, 1, 2, 4)))):
        if key not in (parent if isinstance(parent, dict) else range(len(parent))):
            continue  # it went with a part that was changed before
        entry = parent[key]
        if isinstance(entry, bool):
            parent[key] = not entry
        elif isinstance(entry, int | float):
            parent[key] = random_.choice(OTHER_NUMBERS if isinstance(entry, float) else (*NUMBERS, -entry, entry + 1))
        elif isinstance(entry, str):
            parent[key] = random_.choice([evil for evil in EVIL_VALUES if isinstance(evil, str)])
        elif isinstance(entry, list):
            parent[key] = random_.choice([[], entry[:-1], entry[:1], entry * 2, entry[::-1]])
        elif isinstance(entry, dict) and entry:
            entry[random_.choice(("", "x", "student", "y" * 300, "\x1b"))] = entry.pop(random_.choice(list(entry)))
    return json.dumps(damaged).encode()


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place below a value, as its container and the key or index in it; of long lists only the beginning."""
    keys = list(value)[:60] if isinstance(value, dict) else list(range(min(len(value), 6)))
    for key in keys:
        yield value, key
        if isinstance(value[key], list | dict):
            yield from _places(value[key])
