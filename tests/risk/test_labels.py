"""Who memorized what → labels of the examples whose features are known, by digest."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pytest_kdmem.errors import DataError
from pytest_kdmem.risk.features import extract_features
from pytest_kdmem.risk.labels import labels_from_both_models, labels_from_file, labels_from_rows


def student(pair, recited: set[int], ambiguous: frozenset[int] = frozenset()) -> pa.Table:
    """The teacher's rows with other verdicts."""
    rows = pair.teacher.rows
    for name, at in (("memorized", recited), ("ambiguous", ambiguous)):
        flags = pa.array([row in at for row in range(len(rows))])
        rows = rows.set_column(rows.column_names.index(name), name, flags)
    return rows


def test_labels_are_matched_by_digest_in_whatever_order(make_pair):
    pair = make_pair()
    rows = student(pair, {2, 30, 599}).take(pa.array(np.random.default_rng(0).permutation(600)))
    found = labels_from_rows(rows, extract_features(pair), "a student", "d")
    assert np.flatnonzero(found.memorized).tolist() == [2, 30, 599]


def test_ambiguous_verdicts_and_any_copy_count_as_memorized(make_pair):
    digests = [f"{at:032x}" for at in range(600)]
    digests[500] = digests[3]
    pair = make_pair(digests=digests)
    found = labels_from_rows(student(pair, {500}, frozenset({8})), extract_features(pair), "a student", "d")
    assert np.flatnonzero(found.memorized).tolist() == [3, 8]


def test_without_a_student_they_are_what_both_recite(make_pair):
    found = labels_from_both_models(extract_features(make_pair(both=12)))
    assert found.memorized.sum() == 12
    assert found.source == "teacher and baseline"


def test_labels_of_another_corpus_are_refused(make_pair, tmp_path):
    pair = make_pair()
    other = make_pair(digests=[f"{at + 599:032x}" for at in range(600)])
    pq.write_table(student(other, {1}), tmp_path / "scores.parquet")
    with pytest.raises(DataError, match=r"for each of the 600 examples of train .* 599 have none \(first: example 0\)"):
        labels_from_file(tmp_path / "scores.parquet", extract_features(pair))


def test_a_table_that_kdmem_score_wrote_is_read(make_pair, tmp_path):
    pair = make_pair()
    pq.write_table(student(pair, {1, 2}), tmp_path / "scores.parquet")
    assert labels_from_file(tmp_path / "scores.parquet", extract_features(pair)).memorized.sum() == 2


def test_labels_of_other_lengths_or_without_verdicts_are_refused(make_pair, tmp_path):
    pair = make_pair()
    rows = student(pair, {1})
    pq.write_table(rows.replace_schema_metadata({b"kdmem.lengths": b"50, 20, 128"}), tmp_path / "other.parquet")
    with pytest.raises(DataError, match=r"50, 50, 128 were expected in .* are of 50, 20, 128"):
        labels_from_file(tmp_path / "other.parquet", extract_features(pair))
    at = rows.column_names.index("memorized")
    unknown = rows.set_column(at, "memorized", pa.nulls(600, pa.bool_()))
    with pytest.raises(DataError, match=r"A verdict on each example was expected in a student, and 600 have none"):
        labels_from_rows(unknown, extract_features(pair), "a student", "d")


def test_columns_of_other_types_are_no_score_table(make_pair, tmp_path):
    pair = make_pair()
    rows = student(pair, {1})
    wrong = rows.set_column(rows.column_names.index("memorized"), "memorized", pa.array(["yes, surely"] * 600))
    pq.write_table(wrong, tmp_path / "scores.parquet")
    with pytest.raises(DataError, match="and it is none; write one with kdmem score"):
        labels_from_file(tmp_path / "scores.parquet", extract_features(pair))


@pytest.mark.parametrize("content", [None, b"no table", pa.table({"digest": ["a"]})], ids=["none", "bytes", "columns"])
def test_what_is_no_score_table_is_told_in_a_sentence(make_pair, tmp_path, content):
    path = tmp_path / "scores.parquet"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        pq.write_table(content, path)
    words = "there is no such file" if content is None else "and it is none; write one with kdmem score"
    with pytest.raises(DataError, match=words):
        labels_from_file(path, extract_features(make_pair()))
