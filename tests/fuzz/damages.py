"""How the content of a file is damaged, by its format."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable

from pytest_kdmem.base.digests import digest_of
from pytest_kdmem.scoring.entries import _canonical
from pytest_kdmem.scoring.store_files import checksum
from tests.fuzz.mutations import damage_bytes, damage_json, damage_values

Damage = Callable[[random.Random, bytes], bytes]


def any_bytes(random_: random.Random, content: bytes) -> bytes:
    return damage_bytes(random_, content)


def json_or_bytes(random_: random.Random, content: bytes) -> bytes:
    """JSON damaged as a value two times of three, and as bytes else."""
    return damage_json(random_, json.loads(content)) if random_.random() < 2 / 3 else damage_bytes(random_, content)


def values_or_json(random_: random.Random, content: bytes) -> bytes:
    """JSON damaged within the kinds of its values three times of four."""
    return damage_values(random_, json.loads(content)) if random_.random() < 0.75 else json_or_bytes(random_, content)


def json_lines(random_: random.Random, content: bytes) -> bytes:
    lines = content.split(b"\n")
    at = random_.randrange(len(lines) - 1)
    lines[at] = json_or_bytes(random_, lines[at])
    return b"\n".join(lines)


def compressed(compress: Callable[[bytes], bytes], random_: random.Random, content: bytes) -> bytes:
    """Lines damaged before they are compressed, or after."""
    if random_.random() < 0.5:
        return compress(json_lines(random_, content))
    return damage_bytes(random_, compress(content))


def header_of_weights(random_: random.Random, content: bytes) -> bytes:
    """A safetensors file whose header is damaged as JSON and has its right length, or any of its bytes."""
    end = 8 + int.from_bytes(content[:8], "little")
    if random_.random() < 0.3:
        return damage_bytes(random_, content, end)
    header = damage_json(random_, json.loads(content[8:end]))
    return struct.pack("<Q", len(header)) + header + content[end:]


def with_checksum(random_: random.Random, content: bytes) -> bytes:
    """A predictor whose checksum is right, so that its values are read."""
    damaged = values_or_json(random_, content)
    try:
        value = json.loads(damaged)
        value.pop("checksum", None)
        return json.dumps(value | {"checksum": digest_of(value)}).encode()
    except (ValueError, TypeError, AttributeError, RecursionError):
        return damaged


def with_entry_checksum(random_: random.Random, content: bytes) -> bytes:
    """An entry of a store whose checksum is right."""
    damaged = json_or_bytes(random_, content)
    try:
        value = json.loads(damaged)
        kept = {key: entry for key, entry in value.items() if key not in ("format", "checksum")}
        return _canonical({**kept, "format": 1, "checksum": checksum(_canonical(kept))})
    except (ValueError, TypeError, AttributeError, RecursionError):
        return damaged


def any_text(random_: random.Random, content: bytes) -> bytes:
    return damage_bytes(random_, content).replace(b"\xff", b"/")
