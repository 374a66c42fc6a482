"""A sample is read as a training's tokenizer reads the set, and its rate has the bounds of an audit's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from pytest_kdmem.corpus.shards import CorpusRecord
from pytest_kdmem.engines.protocol import verdict_scores
from pytest_kdmem.errors import DataError
from pytest_kdmem.metrics.bounds import Counts, estimate_proportion
from pytest_kdmem.specs.declared import Extraction, TrainingSet
from pytest_kdmem.tracking.training_sample import TrainingSample, read_sample
from tests.tracking.trainings import LENGTHS, random_ids, write_set

TOLERANCE = 0.5


@given(
    margins=st.lists(st.sampled_from([-2.0, -0.25, 0.0, 0.25, 2.0]), min_size=1, max_size=20),
    exhaustive=st.booleans(),
)
def test_the_rate_counts_what_is_recited_and_what_may_be(margins: list[float], exhaustive: bool) -> None:
    record = CorpusRecord(len(margins) + 3, 3, exhaustive, ())
    misses = np.array([-1 if margin >= 0 else 0 for margin in margins], np.int16)
    scores = verdict_scores(np.array(margins, np.float32), misses, TOLERANCE)
    rate = TrainingSample((), LENGTHS, record).estimate(scores, "student", 0.9)
    recited = [margin >= 0 for margin in margins]
    unsure = [abs(margin) <= TOLERANCE for margin in margins]
    sure = sum(of_row and not open for of_row, open in zip(recited, unsure, strict=True))
    counts = Counts(
        sum(recited), len(margins), sure, sum(a or b for a, b in zip(recited, unsure, strict=True)), sum(unsure)
    )
    expected = estimate_proportion("memorization rate", "student", counts, exhaustive=exhaustive, confidence=0.9)
    assert (rate.k, rate.n, rate.low, rate.high, rate.ambiguous) == (
        expected.k, expected.n, expected.low, expected.high, expected.ambiguous,
    )  # fmt: skip
    assert rate.too_short == 3


def test_token_ids_are_read_without_a_tokenizer_and_drawn_by_the_seed(tmp_path: Path) -> None:
    ids = random_ids(16)
    source = write_set(tmp_path, ids).source
    whole = read_sample(TrainingSet(source), None, LENGTHS, offline=True)
    assert (whole.record.examples, whole.record.exhaustive) == (16, True)
    np.testing.assert_array_equal([example.ids for example in whole.examples], ids)
    drawn = [read_sample(TrainingSet(source, sample=5, seed=seed), None, LENGTHS, offline=True) for seed in (0, 0, 1)]
    positions = [[example.position for example in sample.examples] for sample in drawn]
    assert positions[0] == positions[1] != positions[2]
    assert [len(of_sample) for of_sample in positions] == [5, 5, 5]
    assert not drawn[0].record.exhaustive


def test_text_is_read_by_the_tokenizer_in_memory(tmp_path: Path, tiny: Path, sentences: list[str]) -> None:
    path = tmp_path / "train.txt"
    path.write_text("\n".join(sentences[:4]) + "\n")
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    sample = read_sample(TrainingSet(path), tokenizer, Extraction(4, 4, 12), offline=True)
    expected = [tokenizer(text)["input_ids"][:12] for text in sentences[:4]]
    assert [example.ids.tolist() for example in sample.examples] == expected


def test_a_set_of_short_examples_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Examples of at least 16 tokens"):
        read_sample(write_set(tmp_path, random_ids(4, 9)), None, LENGTHS, offline=True)
