"""Documents become the examples that training saw, duplicates weigh once, and samples are fair."""

from __future__ import annotations

import json
import tracemalloc
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_kdmem.corpus.examples import Example, in_batches, stream_examples
from pytest_kdmem.corpus.shards import CorpusReader, Shard
from pytest_kdmem.corpus.tokenizer import load_tokenizer
from pytest_kdmem.errors import DataError, SpecError
from pytest_kdmem.specs.declared import Extraction, TrainingSet

EXTRACTION = Extraction(4, 4, 16)


@pytest.fixture(scope="module")
def tokenizer(tiny):
    return load_tokenizer(tiny)


def plain_ids(tiny, text: str) -> list[int]:
    """Ids by the tokenizers library itself."""
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(tiny / "tokenizer.json")).encode(text, add_special_tokens=False).ids


def test_documents_give_the_first_window_of_each(tiny, tokenizer, sentences, write_jsonl):
    examples = list(stream_examples(TrainingSet(write_jsonl(sentences)), tokenizer, EXTRACTION))
    assert [example.position for example in examples] == list(range(len(sentences)))
    for example, text in zip(examples, sentences, strict=True):
        assert example.ids.tolist() == plain_ids(tiny, text)[:16]


def test_blocks_join_documents_by_eos_and_lose_no_token(tiny, tokenizer, sentences, write_jsonl):
    data = TrainingSet(write_jsonl(sentences), form="blocks")
    examples = list(stream_examples(data, tokenizer, EXTRACTION))
    joined = [token for text in sentences for token in [*plain_ids(tiny, text), 0]]
    assert np.concatenate([example.ids for example in examples]).tolist() == joined
    assert {len(example.ids) for example in examples[:-1]} == {16}


def test_blocks_need_an_eos(sentences, write_jsonl):
    with pytest.raises(SpecError, match="joined by EOS"):
        list(stream_examples(TrainingSet(write_jsonl(sentences), form="blocks"), None, EXTRACTION))


def test_text_needs_a_tokenizer(sentences, write_jsonl):
    with pytest.raises(DataError, match="needs a tokenizer"):
        list(stream_examples(TrainingSet(write_jsonl(sentences)), None, EXTRACTION))


def test_a_long_document_gives_the_window_that_all_of_it_would(tiny, tokenizer, write_jsonl):
    texts = [" ".join(["amber"] * 40_000), " " * 50_000 + "amber birch", "\n" * 9_000]
    examples = list(stream_examples(TrainingSet(write_jsonl(texts)), tokenizer, EXTRACTION))
    assert [example.ids.tolist() for example in examples] == [plain_ids(tiny, text)[:16] for text in texts]


def test_decoding_and_encoding_is_not_relied_on(tokenizer):
    ids = np.array([200, 250, 131, 7], dtype=np.int32)  # bytes that are no text
    assert isinstance(tokenizer.decode(ids), str)


@given(st.lists(st.integers(), max_size=40), st.integers(1, 7))
def test_batches_hold_everything_in_order(items, size):
    batches = list(in_batches(items, size))
    assert [item for batch in batches for item in batch] == items
    assert all(len(batch) == size for batch in batches[:-1])


def reader_of(path, sample=None, seed=0, per_shard=8):
    return CorpusReader(
        TrainingSet(str(path), sample=sample, seed=seed), None, EXTRACTION, examples_per_shard=per_shard
    )


@pytest.fixture
def repeated(tmp_path):
    """40 distinct rows, the first ten of them nine times each, and five rows too short."""
    rows = np.random.default_rng(0).integers(0, 99, (40, 10)).tolist()
    lines = rows + [row for row in rows[:10] for _ in range(8)] + [[1, 2, 3, at] for at in range(5)]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"input_ids": row}) + "\n" for row in lines))
    return path


def test_everything_is_read_in_order_and_counted(repeated):
    reader = reader_of(repeated)
    examples = [example for shard in reader for example in shard.examples]
    assert [example.position for example in examples] == list(range(125))
    assert (reader.record.examples, reader.record.too_short, reader.record.exhaustive) == (125, 5, True)
    assert len(reader.record.shards) == 16


def test_a_sample_holds_distinct_long_enough_examples_at_their_first_place(repeated):
    reader = reader_of(repeated, sample=12)
    drawn = [example for shard in reader for example in shard.examples]
    assert len({example.digest for example in drawn}) == len(drawn) == 12
    assert all(example.position < 40 for example in drawn)
    assert not reader.record.exhaustive


def test_a_sample_that_holds_everything_is_exhaustive(repeated):
    reader = reader_of(repeated, sample=40)
    assert sum(len(shard.examples) for shard in reader) == 40
    assert reader.record.exhaustive


def test_repetition_does_not_raise_the_chance_to_be_drawn(repeated):
    drawn = Counter(
        example.position
        for seed in range(400)
        for shard in reader_of(repeated, sample=10, seed=seed)
        for example in shard.examples
    )
    # 100 expected of each; a fair draw strays more than 4.5 standard deviations once in 10 000 runs of this test.
    assert max(abs(count - 100) for count in drawn.values()) < 4.5 * (400 * 0.25 * 0.75) ** 0.5
    assert len(drawn) == 40


def test_the_same_seed_draws_the_same_sample(repeated):
    digests = [[shard.digest for shard in reader_of(repeated, sample=10, seed=seed)] for seed in (1, 1, 2)]
    assert digests[0] == digests[1] != digests[2]


@settings(max_examples=50)
@given(st.lists(st.lists(st.integers(0, 5), max_size=3), min_size=1, max_size=4))
def test_a_shard_is_known_by_its_positions_and_ids(rows):
    def digest(offset):
        return Shard(tuple(Example(at + offset, np.array(row, np.int32)) for at, row in enumerate(rows))).digest

    assert digest(0) == digest(0) != digest(1)


def test_the_digest_of_an_example_is_that_of_its_ids_whatever_the_machine():
    import hashlib

    expected = hashlib.sha256(bytes([1, 0, 0, 0, 0, 1, 0, 0])).hexdigest()[:32]
    assert Example(5, np.array([1, 256], np.int32)).digest == expected


@pytest.mark.parametrize(
    ("rows", "message"), [([], "it is empty"), ([[1] * 7], "at least 8 tokens .* all 1 are shorter")]
)
def test_nothing_to_score_is_an_error(tmp_path, rows, message):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"input_ids": row}) + "\n" for row in rows))
    with pytest.raises(DataError, match=message):
        list(reader_of(path))


def test_memory_does_not_grow_with_the_file(tmp_path):
    peaks = []
    for rows in (4_000, 10_000):
        path = tmp_path / f"{rows}.jsonl"
        with path.open("w") as file:
            for at in range(rows):
                file.write(json.dumps({"input_ids": [at % 99] * 99 + [at]}) + "\n")
        tracemalloc.start()
        for _ in stream_examples(TrainingSet(str(path)), None, EXTRACTION):
            pass
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]
