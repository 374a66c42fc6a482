"""Ways in which a stored shard is damaged; each gets the shard, another one, and where its choices come from."""

from __future__ import annotations

import os
import random
from pathlib import Path


def cut(victim: Path, other: Path, random_: random.Random) -> None:
    os.truncate(victim, random_.randrange(victim.stat().st_size))


def flipped(victim: Path, other: Path, random_: random.Random) -> None:
    content = bytearray(victim.read_bytes())
    content[random_.randrange(len(content))] ^= 1 << random_.randrange(8)
    victim.write_bytes(content)


def zeroed(victim: Path, other: Path, random_: random.Random) -> None:
    victim.write_bytes(bytes(victim.stat().st_size))


def longer(victim: Path, other: Path, random_: random.Random) -> None:
    victim.write_bytes(victim.read_bytes() + other.read_bytes())


def anothers(victim: Path, other: Path, random_: random.Random) -> None:
    victim.write_bytes(other.read_bytes())


def anothers_with_its_checksum(victim: Path, other: Path, random_: random.Random) -> None:
    name = f"{victim.name.partition('.')[0]}.{other.name.partition('.')[2]}"
    victim.with_name(name).write_bytes(other.read_bytes())
    victim.unlink()


def gone(victim: Path, other: Path, random_: random.Random) -> None:
    victim.unlink()


DAMAGES = (cut, flipped, zeroed, longer, anothers, anothers_with_its_checksum, gone)
