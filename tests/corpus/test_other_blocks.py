"""Training may have packed its blocks in other ways, and each is read from the beginning of the set."""

from __future__ import annotations

import numpy as np

from pytest_kdmem.corpus.other_blocks import BLOCKS_COMPARED
from tests.corpus.read_otherwise import TEXTS, texts
from tests.reciting import BOS, EOS, byte_level


def test_blocks_are_packed_in_every_way_from_the_beginning_of_the_set(read):
    as_read, readings = read(texts(), form="blocks")
    assert len(as_read) == BLOCKS_COMPARED
    assert readings.keys() == {
        "blocks-no-eos",
        "blocks-bos-first-one-eos",
        "blocks-bos-first-no-eos",
        "blocks-begin-with-bos-one-eos",
        "blocks-begin-with-bos-no-eos",
        "documents",
    }
    assert all(EOS not in block for block in readings["blocks-no-eos"].otherwise)
    assert all(block[0] == BOS for block in readings["blocks-begin-with-bos-one-eos"].otherwise)
    first = byte_level(TEXTS).encode(TEXTS[0]).ids
    assert readings["blocks-bos-first-no-eos"].otherwise[0][: len(first) + 1].tolist() == [BOS, *first][:40]


def test_documents_that_training_left_out_stand_in_no_block(read):
    short = [{"text": "amber birch"}] * 5
    as_read, _ = read([*short, *texts()], form="blocks", minimum_tokens=20)
    expected, _ = read(texts(), form="blocks")
    assert all(np.array_equal(first, second) for first, second in zip(as_read, expected, strict=True))


def test_an_end_token_that_documents_have_is_once_in_the_other_reading(read):
    _, readings = read([{"text": text + "</s>"} for text in TEXTS], form="blocks", eos="always")
    stream = np.concatenate(readings["blocks-one-eos"].otherwise)
    ends = np.flatnonzero(stream == EOS)
    assert len(ends)
    assert (np.diff(ends) > 1).all()
