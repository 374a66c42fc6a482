"""In which other ways training may have read a training set."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_kdmem.corpus.other_blocks import BLOCKS_COMPARED, pack_otherwise
from pytest_kdmem.corpus.other_readings import DOCUMENTS_COMPARED, OtherReading, read_otherwise
from pytest_kdmem.corpus.reading_source import Source
from pytest_kdmem.corpus.tokenizer import load_tokenizer
from pytest_kdmem.specs.declared import Extraction, TrainingSet
from pytest_kdmem.specs.other_readings import READINGS
from tests.reciting import BOS, EOS, PAD, byte_level, save_tokenizer, secrets

TEXTS = secrets(40)
LENGTHS = Extraction(10, 20, 40)


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., tuple[tuple[np.ndarray, ...], dict[str, OtherReading]]]:
    """The sequences of rows as read, and their other readings by name."""

    def read(rows: list[dict[str, Any]], *, adds_bos: bool = False, **declared: Any) -> Any:
        save_tokenizer(byte_level(TEXTS, adds_bos=adds_bos), tmp_path)
        (tmp_path / "config.json").write_text(json.dumps({"bos_token_id": BOS, "eos_token_id": EOS}))
        path = tmp_path / "train.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        source = Source(TrainingSet(str(path), **declared), load_tokenizer(tmp_path), tmp_path, LENGTHS)
        ways = read_otherwise if source.training_set.form == "documents" else pack_otherwise
        as_read, readings = ways(source, source.documents())
        assert {reading.name for reading in readings} <= READINGS.keys()
        return as_read, {reading.name: reading for reading in readings}

    return read


def texts(count: int = 40) -> list[dict[str, Any]]:
    return [{"text": text} for text in TEXTS[:count]]


def test_a_tokenizer_of_which_all_readings_agree_leaves_what_it_does_not_add(read):
    as_read, readings = read(texts())
    assert len(as_read) == DOCUMENTS_COMPARED
    assert {len(ids) for ids in as_read} == {LENGTHS.scored_tokens}
    assert readings.keys() == {"bos-first", "eos-first", "other-space-first"}


def test_what_the_tokenizer_adds_is_another_reading_whichever_is_declared(read):
    _, readings = read(texts(), adds_bos=True, add_special_tokens=False)
    assert "with-special-tokens" in readings
    assert all(ids[0] == BOS for ids in readings["with-special-tokens"].otherwise)
    _, readings = read(texts(), adds_bos=True, add_special_tokens=True)
    assert {"without-special-tokens", "nothing-first"} <= readings.keys()
    assert not {"with-special-tokens", "bos-first"} & readings.keys()


def test_the_same_few_documents_are_drawn_each_time(read):
    first, _ = read(texts())
    second, _ = read(texts())
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_documents_too_short_to_be_scored_are_compared_only_if_there_are_no_others(read):
    short = [{"text": text[:20]} for text in TEXTS[:20]]
    as_read, _ = read(short)
    assert 0 < len(as_read) <= DOCUMENTS_COMPARED
    as_read, _ = read([*short, *texts(10)[:3]])
    assert [len(ids) for ids in as_read] == [LENGTHS.scored_tokens] * 3


@pytest.mark.parametrize(("left", "right", "stripped"), [(20, 0, True), (0, 20, True), (3, 3, False)])
def test_runs_of_one_token_at_the_ends_of_rows_are_left_out(left, right, stripped, read):
    ids = [encoding.ids[:25] for encoding in byte_level(TEXTS).encode_batch(TEXTS[:10])]
    _, readings = read([{"input_ids": [PAD] * left + row + [PAD] * right} for row in ids])
    assert ("without-padding" in readings) == stripped
    if stripped:
        assert all(PAD not in row for row in readings["without-padding"].otherwise)


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


def test_paired_tokens_are_the_same_tokens_in_every_reading_of_one_tokenizer(read):
    for form in ("documents", "blocks"):
        _, readings = read(texts(), adds_bos=True, add_special_tokens=False, form=form)
        for reading in readings.values():
            for pair in reading.pairs:
                first = [reading.as_read[sequence][position] for sequence, position in pair.as_read]
                second = [reading.otherwise[sequence][position] for sequence, position in pair.otherwise]
                assert first == second
