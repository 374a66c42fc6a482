"""Texts that differ in how they are written and tokenised alone have the same letters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pytest_kdmem.corpus.letters import Letters
from pytest_kdmem.corpus.tokenizer import load_tokenizer


@pytest.fixture(scope="module", params=["pythia", "olmo2", "qwen3"])
def tokenizer(shipped: Path, request: pytest.FixtureRequest):
    return load_tokenizer(shipped / "models" / request.param / "teacher", "file")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("One, two.", "one\n two"),
        ("na\u00efve caf\u00e9", "nai\u0308ve cafe\u0301"),
        ("\ufb01ve", "FIVE"),
        ("a_b\ufffd", "a b"),
        ("Straße 7", "STRASSE 7"),
    ],
)
def test_writing_makes_no_difference(tokenizer, first: str, second: str) -> None:
    letters = Letters(tokenizer)
    assert letters.of(first).tolist() == letters.of(second).tolist()
    assert letters.of(first).tolist() != letters.of(f"{second} x").tolist()


def test_special_tokens_have_no_letters(tokenizer) -> None:
    letters = Letters(tokenizer)
    assert letters.of(f"one {tokenizer.eos_token}two").tolist() == letters.of("one two").tolist()
    assert letters.of("!?").tolist() == []


def test_any_piece_of_the_tokens_of_a_text_has_letters_that_stand_in_it(tokenizer) -> None:
    text = "The keeper, Zoë Łukasz — 42 crates of «naïve» crème brûlée; 学校 is closed!"
    letters = Letters(tokenizer)
    whole = letters.of(text).tobytes()
    [ids] = tokenizer.encode([text], add_special_tokens=False)
    for start in range(len(ids)):
        for end in range(start + 1, len(ids) + 1):
            piece = letters.of(tokenizer.decode(np.array(ids[start:end], dtype=np.int32))).tobytes()
            assert piece in whole
