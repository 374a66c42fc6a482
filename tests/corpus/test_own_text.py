"""Whether rows of token ids are those that a tokenizer gives for their own text."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_kdmem.corpus.own_text import share_of_own_text
from pytest_kdmem.corpus.tokenizer import load_tokenizer
from tests.reciting import byte_level, metaspace, save_tokenizer, secrets

TEXTS = secrets(8)


def rows_of(tokenizer, texts=TEXTS) -> list[np.ndarray]:
    """Rows that begin and end within a word."""
    return [np.asarray(encoding.ids[3:60], np.int32) for encoding in tokenizer.encode_batch(texts)]


@pytest.mark.parametrize("make", [byte_level, metaspace])
def test_token_ids_of_the_tokenizer_itself_are_those_of_their_text(make, tmp_path):
    save_tokenizer(make(TEXTS), tmp_path)
    tokenizer = load_tokenizer(tmp_path, "file")
    assert min(share_of_own_text(row, tokenizer) for row in rows_of(make(TEXTS))) == 1


@pytest.mark.parametrize("make", [byte_level, metaspace])
def test_token_ids_of_another_tokenizer_are_not(make, tmp_path):
    save_tokenizer(make(TEXTS), tmp_path)
    tokenizer = load_tokenizer(tmp_path, "file")
    foreign = rows_of(make(secrets(8, seed=9)))
    assert max(share_of_own_text(row, tokenizer) for row in foreign) < 0.9


def test_a_row_too_short_to_tell_is_held_to_be_of_its_text(tmp_path):
    save_tokenizer(byte_level(TEXTS), tmp_path)
    assert share_of_own_text(np.arange(11, dtype=np.int32), load_tokenizer(tmp_path, "file")) == 1


@pytest.mark.parametrize("token_id", [-1, 399])
def test_a_token_that_the_tokenizer_has_not_is_of_no_text(token_id, tmp_path):
    save_tokenizer(metaspace(TEXTS), tmp_path)
    row = np.asarray([*rows_of(metaspace(TEXTS))[0], token_id], np.int32)
    assert share_of_own_text(row, load_tokenizer(tmp_path, "file")) == 0
