"""Labels match examples by digest, and are refused if they are of other examples."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pytest_kdmem.errors import DataError
from pytest_kdmem.risk.features import extract_features
from pytest_kdmem.risk.labels import labels_from_both_models, labels_from_file, labels_from_rows
from tests.risk.score_pairs import make_pair


def student(pair, recited: set[int], ambiguous: frozenset[int] = frozenset()) -> pa.Table:
    """The teacher's rows with other verdicts."""
    rows = pair.teacher.rows
    for name, positions in (("memorized", recited), ("ambiguous", ambiguous)):
        flags = pa.array([row in positions for row in range(len(rows))])
        rows = rows.set_column(rows.column_names.index(name), name, flags)
    return rows


def test_labels_are_matched_by_digest_in_any_order():
    pair = make_pair()
    rows = student(pair, {2, 30, 599}).take(pa.array(np.random.default_rng(0).permutation(600)))
    labels = labels_from_rows(rows, extract_features(pair), "a student", "d")
    assert np.flatnonzero(labels.memorized).tolist() == [2, 30, 599]


def test_ambiguous_verdicts_and_any_copy_count_as_memorized():
    digests = [f"{row:032x}" for row in range(600)]
    digests[500] = digests[3]
    pair = make_pair(digests=digests)
    labels = labels_from_rows(student(pair, {500}, frozenset({8})), extract_features(pair), "a student", "d")
    assert np.flatnonzero(labels.memorized).tolist() == [3, 8]


def test_without_a_student_labels_are_what_both_models_recite():
    labels = labels_from_both_models(extract_features(make_pair(recited=12)))
    assert labels.memorized.sum() == 12
    assert labels.source == "teacher and baseline"


def test_labels_of_another_corpus_are_refused(tmp_path):
    pair = make_pair()
    other_pair = make_pair(digests=[f"{row + 599:032x}" for row in range(600)])
    pq.write_table(student(other_pair, {1}), tmp_path / "scores.parquet")
    with pytest.raises(DataError, match=r"for each of the 600 examples of train .* 599 have none \(first: example 0\)"):
        labels_from_file(tmp_path / "scores.parquet", extract_features(pair))


def test_a_table_that_kdmem_score_wrote_is_read(tmp_path):
    pair = make_pair()
    pq.write_table(student(pair, {1, 2}), tmp_path / "scores.parquet")
    assert labels_from_file(tmp_path / "scores.parquet", extract_features(pair)).memorized.sum() == 2


def test_labels_of_other_lengths_or_without_verdicts_are_refused(tmp_path):
    pair = make_pair()
    rows = student(pair, {1})
    pq.write_table(rows.replace_schema_metadata({b"kdmem.lengths": b"50, 20, 128"}), tmp_path / "other.parquet")
    with pytest.raises(DataError, match=r"50, 50, 128 were expected in .* are of 50, 20, 128"):
        labels_from_file(tmp_path / "other.parquet", extract_features(pair))
    column = rows.column_names.index("memorized")
    without_verdicts = rows.set_column(column, "memorized", pa.nulls(600, pa.bool_()))
    with pytest.raises(DataError, match=r"A verdict on each example was expected in a student, and 600 have none"):
        labels_from_rows(without_verdicts, extract_features(pair), "a student", "d")


def test_columns_of_other_types_are_no_score_table(tmp_path):
    pair = make_pair()
    rows = student(pair, {1})
    wrong = rows.set_column(rows.column_names.index("memorized"), "memorized", pa.array(["yes, surely"] * 600))
    pq.write_table(wrong, tmp_path / "scores.parquet")
    with pytest.raises(DataError, match="and it is none; write one with kdmem score"):
        labels_from_file(tmp_path / "scores.parquet", extract_features(pair))


@pytest.mark.parametrize("content", [None, b"no table", pa.table({"digest": ["a"]})], ids=["none", "bytes", "columns"])
def test_a_file_that_is_no_score_table_is_refused_in_a_sentence(tmp_path, content):
    path = tmp_path / "scores.parquet"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        pq.write_table(content, path)
    message = "there is no such file" if content is None else "and it is none; write one with kdmem score"
    with pytest.raises(DataError, match=message):
        labels_from_file(path, extract_features(make_pair()))
