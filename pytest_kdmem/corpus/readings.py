"""What one way to turn text into token ids tells of itself, and which special tokens it adds.

`file_readings` holds the ways of a folder's own files, and `auto_reading` that of transformers.
"""

from __future__ import annotations

from typing import Protocol

from pytest_kdmem.base.arrays import TokenIds

BEFORE, BEHIND = "before each text", "behind each text"
# Turned into token ids to see which special tokens are added around it.
PROBE = "a"


class Vocabulary(Protocol):
    """The tokens of a tokenizer, however it reads text.

    Attributes:
        eos_id: Token id of end-of-sequence; None if there is none.
        eos_token: Its text.
        size: Number of tokens in the vocabulary, added tokens included.
        special_ids: Token ids of special tokens that stand in no text, such as BOS, EOS and padding.
    """

    @property
    def eos_id(self) -> int | None: ...
    @property
    def eos_token(self) -> str | None: ...
    @property
    def size(self) -> int: ...
    @property
    def special_ids(self) -> frozenset[int]: ...


class Reading(Vocabulary, Protocol):
    """One way to turn text into token ids and back.

    Attributes:
        name: What it is, in messages.
        knows_special_tokens: Whether it tells which special tokens are added around a text.
    """

    @property
    def name(self) -> str: ...
    @property
    def knows_special_tokens(self) -> bool: ...
    def encode(self, texts: list[str], *, add_special_tokens: bool) -> list[list[int]]: ...
    def decode(self, ids: TokenIds) -> str: ...
    def token(self, token_id: int) -> str: ...


def added_tokens(reading: Reading) -> str:
    """The special tokens that a reading adds around a text by itself, in words; "" if it adds none."""
    if not reading.knows_special_tokens:
        return "special tokens that its settings do not name"
    [plain], [full] = (reading.encode([PROBE], add_special_tokens=special) for special in (False, True))
    if plain == full:
        return ""
    starts = [at for at in range(len(full)) if full[at : at + len(plain)] == plain]
    if not starts:
        return f"special tokens {BEFORE} or {BEHIND}"
    before, after = full[: starts[0]], full[starts[0] + len(plain) :]
    parts = [(before, BEFORE), (after, BEHIND)]
    return " and ".join(f"{' '.join(map(reading.token, ids))} {where}" for ids, where in parts if ids)


class ReadingsDiffer(Exception):
    """Two readings of a tokenizer give a text different token ids.

    Attributes:
        index: Which of the texts it is, from 0.
        difference: What differs, in words.
    """

    def __init__(self, index: int, difference: str) -> None:
        super().__init__(difference)
        self.index = index
        self.difference = difference
