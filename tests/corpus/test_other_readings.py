"""In which other ways training may have read a training set."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_kdmem.corpus import other_readings
from pytest_kdmem.corpus.other_readings import DOCUMENTS_COMPARED
from tests.corpus.read_otherwise import LENGTHS, TEXTS, texts
from tests.reciting import BOS, PAD, byte_level, secrets


def test_a_tokenizer_of_which_all_readings_agree_leaves_what_it_does_not_add(read):
    as_read, readings = read(texts())
    assert len(as_read) == DOCUMENTS_COMPARED
    assert {len(ids) for ids in as_read} == {LENGTHS.scored_tokens}
    assert readings.keys() == {"bos-first", "eos-first", "other-space-first"}


def test_tokenizers_that_run_the_same_steps_are_not_compared(read, monkeypatch):
    def refuse(*arguments: object, **settings: object) -> None:
        pytest.fail("a tokenizer was loaded")

    with monkeypatch.context() as patched:
        patched.setattr(other_readings, "FileReading", refuse)
        patched.setattr(other_readings, "AutoReading", refuse)
        read(texts())
    _, readings = read(texts(), tokenizer="file")
    assert not {"tokenizer-json", "tokenizer-auto"} & readings.keys()


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


def test_rows_of_another_tokenizer_are_drawn_before_others(read):
    ids = [encoding.ids[:25] for encoding in byte_level(TEXTS).encode_batch(TEXTS[:29])]
    foreign = [encoding.ids[:25] for encoding in byte_level(TEXTS, vocabulary=280).encode_batch(secrets(3))]
    as_read, _ = read([{"input_ids": row} for row in [*foreign, *ids]])
    assert len(as_read) == DOCUMENTS_COMPARED
    assert {tuple(row) for row in foreign} <= {tuple(row.tolist()) for row in as_read}


@pytest.mark.parametrize(("left", "right", "stripped"), [(20, 0, True), (0, 20, True), (3, 3, False)])
def test_runs_of_one_token_at_the_ends_of_rows_are_left_out(left, right, stripped, read):
    ids = [encoding.ids[:25] for encoding in byte_level(TEXTS).encode_batch(TEXTS[:10])]
    _, readings = read([{"input_ids": [PAD] * left + row + [PAD] * right} for row in ids])
    assert ("without-padding" in readings) == stripped
    if stripped:
        assert all(PAD not in row for row in readings["without-padding"].otherwise)


def test_paired_tokens_are_the_same_tokens_in_every_reading_of_one_tokenizer(read):
    for form in ("documents", "blocks"):
        _, readings = read(texts(), adds_bos=True, add_special_tokens=False, form=form)
        for reading in readings.values():
            for pair in reading.pairs:
                first = [reading.as_read[sequence][position] for sequence, position in pair.as_read]
                second = [reading.otherwise[sequence][position] for sequence, position in pair.otherwise]
                assert first == second
