"""The sequences that check a reading: each is scored once, and its losses go where they are compared."""

from __future__ import annotations

import pytest

from pytest_kdmem.corpus.reading_source import Source
from pytest_kdmem.corpus.tokenizer import load_tokenizer
from pytest_kdmem.scoring.reading_plan import plan_reading
from pytest_kdmem.specs.declared import Extraction, TrainingSet
from pytest_kdmem.specs.other_readings import IN_BLOCKS
from tests.conftest import VOCABULARY
from tests.corpus.any_checkpoint import checkpoint_of


@pytest.fixture
def source(tiny, sentences, write_jsonl) -> Source:
    return Source(
        TrainingSet(str(write_jsonl(sentences))), load_tokenizer(tiny), checkpoint_of(tiny), Extraction(10, 20, 40)
    )


def test_each_sequence_is_scored_once(source):
    plan = plan_reading(source, VOCABULARY, source.documents())
    ids = [example.ids.tobytes() for example in plan.shard.examples]
    assert len(set(ids)) == len(ids)
    # Beginning and end token are one here, so that they are one reading.
    assert [name for name, *_ in plan.readings if name not in IN_BLOCKS] == ["other-space-first", "bos-first"]


def test_losses_are_compared_token_by_token(source):
    plan = plan_reading(source, VOCABULARY, source.documents())
    # A token costs its id: the same tokens cost the same wherever they stand.
    losses = plan.measure([example.ids[1:].astype(float) for example in plan.shard.examples])
    for comparison in losses.comparisons:
        assert comparison.as_read == comparison.otherwise
        assert len(comparison.as_read) == len(plan.as_read) or comparison.reading in IN_BLOCKS
    assert losses.as_read == tuple(float(plan.shard.examples[index].ids[1:].mean()) for index in plan.as_read)


def test_documents_of_tokens_that_the_model_has_not_are_left_to_scoring(source, tiny, tmp_path):
    assert plan_reading(source, 10, source.documents()) is None


def test_texts_behind_the_beginning_are_not_compared_by_what_stands_at_their_edges(source):
    """It is the same for all texts of a source, and checked at its beginning."""
    plan = plan_reading(source, VOCABULARY, source.documents(), from_start=False)
    assert len(plan.as_read) > 1
    assert plan.readings == ()
