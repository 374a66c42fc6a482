"""Training may have packed its blocks in other ways, and each is read from the beginning of the set."""

from __future__ import annotations

import json

import numpy as np

from pytest_kdmem.corpus.other_blocks import BLOCKS_COMPARED, read_in_blocks
from pytest_kdmem.corpus.reading_source import Source
from pytest_kdmem.corpus.tokenizer import load_tokenizer
from pytest_kdmem.specs.declared import TrainingSet
from pytest_kdmem.specs.other_readings import IN_BLOCKS
from tests.corpus.any_checkpoint import checkpoint_of
from tests.corpus.read_otherwise import LENGTHS, TEXTS, texts
from tests.reciting import BOS, EOS, byte_level, save_tokenizer


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


def test_a_document_that_repeats_those_before_it_is_not_compared_in_blocks(tmp_path):
    save_tokenizer(byte_level(TEXTS), tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"bos_token_id": BOS, "eos_token_id": EOS}))

    def names(texts: list[str]) -> set[str]:
        (tmp_path / "train.txt").write_text("\n".join(texts))
        source = Source(
            TrainingSet(str(tmp_path / "train.txt")), load_tokenizer(tmp_path), checkpoint_of(tmp_path), LENGTHS
        )
        return {reading.name for reading in read_in_blocks(source, source.documents())}

    assert names(TEXTS[:12]) == IN_BLOCKS.keys()
    assert names(TEXTS[:1] * 12) == set()
