"""Documents that are too short are left out and counted, whatever comes after; the rest are examples, numbered anew."""

from __future__ import annotations

import hashlib
import json
import tracemalloc

import numpy as np
import pytest

from pytest_kdmem.auditing.scored_share import short_copies_warning
from pytest_kdmem.corpus.examples import stream_examples
from pytest_kdmem.corpus.presets import Selection
from pytest_kdmem.corpus.shards import CorpusReader, CorpusRecord
from pytest_kdmem.corpus.sources import expected_examples, fingerprint
from pytest_kdmem.corpus.tokenizer import load_tokenizer
from pytest_kdmem.errors import DataError
from pytest_kdmem.scoring.score import score
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.scoring.too_short import TooShort, count_too_short
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet


@pytest.fixture
def mixed(write_jsonl, sentences):
    """Twelve texts of some 60 tokens, each behind one or two of fewer than ten: 18 are short."""
    lines = [line for at, text in enumerate(sentences[:12]) for line in [*["amber birch"] * (1 + at % 2), text]]
    return write_jsonl(lines)


def digest(tiny, text: str, tokens: int) -> str:
    """Digest of a text's first tokens, by the tokenizers library and hashlib alone."""
    from tokenizers import Tokenizer

    ids = Tokenizer.from_file(str(tiny / "tokenizer.json")).encode(text, add_special_tokens=False).ids[:tokens]
    return hashlib.sha256(np.array(ids, "<i4").tobytes()).hexdigest()[:32]


def test_an_audit_scores_what_is_left_and_counts_the_rest_also_when_it_remembers(tiny, mixed, sentences, tmp_path):
    data, extraction, store = TrainingSet(mixed, minimum_tokens=30), Extraction(5, 5, 20), ScoreStore(tmp_path / "s")
    first, again = (score(Model(str(tiny)), data, extraction, store) for _ in range(2))
    for scores in (first, again):
        assert scores.rows["example_id"].to_pylist() == list(range(12))
        assert scores.rows["digest"].to_pylist() == [digest(tiny, text, 20) for text in sentences[:12]]
        assert (scores.record.examples, scores.record.left_out, scores.record.too_short) == (12, 18, 0)
    assert (first.scored_now, again.scored_now) == (12, 0)
    whole = score(Model(str(tiny)), TrainingSet(mixed), extraction, store)
    assert (whole.record.examples, whole.record.left_out) == (30, 0)


def test_the_window_does_not_decide_what_is_long_enough(tiny, mixed):
    data, tokenizer = TrainingSet(mixed, minimum_tokens=30), load_tokenizer(tiny)
    short, long = (list(stream_examples(data, tokenizer, Extraction(2, 2, window))) for window in (4, 200))
    assert [len(example.ids) for example in short] == [4] * 12
    assert [example.ids[:4].tolist() for example in long] == [example.ids.tolist() for example in short]


def test_a_text_cut_before_it_is_tokenised_is_measured_whole(tiny, write_jsonl):
    from tokenizers import Tokenizer

    inner = Tokenizer.from_file(str(tiny / "tokenizer.json"))
    texts = ["amber birch cedar " * 40, " " * 3_000 + "amber", "amber " * 9]
    sizes = [len(inner.encode(text, add_special_tokens=False).ids) for text in texts]
    for least in sorted({*sizes, *(size + 1 for size in sizes[1:])}):
        if least <= max(sizes):
            data = TrainingSet(write_jsonl(texts), minimum_tokens=least)
            examples = list(stream_examples(data, load_tokenizer(tiny), Extraction(1, 1, 2)))
            assert len(examples) == sum(size >= least for size in sizes), least


def test_short_documents_are_left_out_before_blocks_are_joined(tmp_path):
    rows = [[1] * 5, [2] * 2, [3] * 6, [4] * 3]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"input_ids": row}) + "\n" for row in rows))

    class Ends:
        eos_id, size, special_ids, adds, promises, had_special_tokens = 0, 9, frozenset({0}), "", "", None

        def encode(self, texts, *, add_special_tokens, needed=None):
            return []

        def decode(self, ids):
            return ""

    reader = CorpusReader(TrainingSet(path, form="blocks", minimum_tokens=5), Ends(), Extraction(2, 2, 4))
    joined = np.concatenate([example.ids for shard in reader for example in shard.examples]).tolist()
    assert joined == [*[1] * 5, 0, *[3] * 6, 0]
    assert reader.record.left_out == 2


def test_a_sample_is_drawn_from_what_is_left_and_counts_all_that_was_left_out(tiny, mixed):
    data = TrainingSet(mixed, minimum_tokens=30, sample=3)
    reader = CorpusReader(data, load_tokenizer(tiny), Extraction(5, 5, 20))
    assert sum(len(shard.examples) for shard in reader) == 3
    assert (reader.record.examples, reader.record.left_out) == (12, 18)


@pytest.mark.parametrize("sample", [None, 3, 100])
def test_copies_of_what_is_too_short_are_counted_also_where_a_sample_is_drawn(tiny, mixed, tmp_path, sample):
    data, extraction, store = TrainingSet(mixed, sample=sample), Extraction(5, 5, 20), ScoreStore(tmp_path / "s")
    for _ in range(2):  # read, and remembered
        scores = score(Model(str(tiny)), data, extraction, store)
        assert count_too_short(scores) == TooShort(18, 1, 18)
        assert "1 distinct example of" in short_copies_warning(scores)
        assert "stands there up to 18 times" in short_copies_warning(scores)
    assert CorpusRecord.from_json(scores.record.to_json()) == scores.record


def test_records_of_earlier_versions_count_no_copies_and_are_read_again(tiny, mixed, tmp_path):
    data, extraction, store = TrainingSet(mixed, minimum_tokens=2), Extraction(5, 5, 20), ScoreStore(tmp_path / "s")
    scores = score(Model(str(tiny)), data, extraction, store)
    whole = scores.record
    assert whole.counts_copies
    content = whole.to_json()
    del content["short"], content["shorter"]
    earlier = CorpusRecord.from_json(content)
    assert not earlier.counts_copies
    store.write_record(whole.read_as, earlier)
    again = score(Model(str(tiny)), data, extraction, store)
    assert (again.record, again.scored_now) == (whole, 0)
    assert CorpusRecord(5, 0, True, ()).counts_copies
    assert not CorpusRecord(5, 0, True, (), left_out=1).counts_copies


@pytest.mark.parametrize("sample", [None, 3])
def test_copies_of_what_a_least_length_leaves_out_are_counted(tiny, mixed, sample):
    reader = CorpusReader(
        TrainingSet(mixed, minimum_tokens=30, sample=sample), load_tokenizer(tiny), Extraction(5, 5, 20)
    )
    list(reader)
    [shorter] = reader.record.shorter
    assert (shorter.copies, shorter.distinct, reader.record.left_out) == (18, 1, 18)
    assert shorter.fewest_tokens == shorter.most_tokens < 30


def test_all_too_short_is_an_error_before_anything_is_scored(tiny, mixed, tmp_path):
    with pytest.raises(DataError, match=r"at least 500 tokens .* and all 30 are shorter; set a smaller minimum_tokens"):
        score(
            Model(str(tiny)), TrainingSet(mixed, minimum_tokens=500), Extraction(5, 5, 20), ScoreStore(tmp_path / "s")
        )
    assert not list((tmp_path / "s").rglob("*.parquet"))


def test_a_least_length_is_another_corpus_and_none_is_the_one_it_was(mixed):
    prints = [fingerprint(TrainingSet(mixed, minimum_tokens=least)) for least in (0, 30, 31)]
    assert len({*prints, fingerprint(TrainingSet(mixed, documents="articles"))}) == 4
    assert prints[0] == fingerprint(TrainingSet(mixed))


def test_progress_does_not_promise_what_may_be_left_out(mixed):
    assert expected_examples(TrainingSet(mixed)) == 30
    assert expected_examples(TrainingSet(mixed, minimum_tokens=30)) is None


def test_a_record_of_before_records_told_their_key_counts_as_absent(tmp_path):
    (tmp_path / "corpora").mkdir()
    # As it lay on disk then, checksum and all: what it is of stood in its name alone.
    old = (
        '{"checksum": "ba26a79b1b1a7d36", "examples": 5, "exhaustive": false, "format": 1, "shards": ["aa", "bb"],'
        ' "too_short": 2}'
    )
    (tmp_path / "corpora" / "k.json").write_text(old)
    assert ScoreStore(tmp_path).read_record("k") is None


def test_memory_does_not_grow_with_what_is_left_out_or_skipped(tmp_path):
    peaks = []
    for rows in (4_000, 10_000):
        path = tmp_path / f"{rows}.jsonl"
        with path.open("w") as file:
            for at in range(rows):
                file.write(json.dumps({"input_ids": [at % 99] * (9 if at % 3 else 99)}) + "\n")
        data, skipping = TrainingSet(str(path), minimum_tokens=50), Selection("data", 50, skip=rows // 4)
        long_enough = -(-rows // 3)
        assert sum(1 for _ in stream_examples(data, None, Extraction(4, 4, 16))) == long_enough
        tracemalloc.start()  # which makes reading five times slower
        assert 0 < sum(1 for _ in stream_examples(data, None, Extraction(4, 4, 16), selection=skipping)) < long_enough
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]


def test_real_documents_fill_their_windows(real_text, tiny):
    data = TrainingSet(real_text / "fineweb" / "sample.jsonl", minimum_tokens=256)
    reader = CorpusReader(data, load_tokenizer(tiny), Extraction())
    examples = [example for shard in reader for example in shard.examples]
    assert {len(example.ids) for example in examples} == {256}
    assert [example.position for example in examples] == list(range(len(examples)))
    assert len(examples) + reader.record.left_out == 210
    assert 180 < len(examples) < 210
