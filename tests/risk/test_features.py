"""Features are what their names say, over distinct examples, and all finite."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from pytest_kdmem.errors import DataError, SpecError
from pytest_kdmem.risk.features import ALL_FEATURES, STUDY_FEATURES, extract_features
from tests.risk.score_pairs import make_pair


def test_the_four_features_of_the_study_are_what_their_names_say():
    pair = make_pair()
    features = extract_features(pair)
    assert features.names == STUDY_FEATURES == ("teacher_perplexity", "baseline_perplexity", "kl", "zlib_bytes")
    for column, (rows, name) in enumerate(((pair.teacher.rows, "nll"), (pair.baseline.rows, "nll"))):
        assert np.allclose(features.values[:, column], np.exp(rows[name].to_numpy().astype(float)))
    assert np.allclose(features.values[:, 2], pair.kl["kl"].to_numpy())
    assert np.allclose(features.values[:, 3], pair.teacher.rows["zlib_bytes"].to_numpy())
    assert len(features) == 600


def test_further_features_follow_the_four_of_the_study():
    pair = make_pair()
    features = extract_features(pair, ALL_FEATURES)
    assert features.names[:4] == STUDY_FEATURES
    assert np.allclose(features.values[:, :4], extract_features(pair).values)
    assert np.allclose(
        features.values[:, ALL_FEATURES.index("baseline_margin")], pair.baseline.rows["margin"].to_numpy()
    )
    assert np.allclose(
        features.values[:, ALL_FEATURES.index("teacher_entropy")], pair.teacher.rows["entropy"].to_numpy()
    )
    assert (features.values[:, ALL_FEATURES.index("copies")] == 1).all()


def test_copies_are_one_example_at_the_position_of_the_first():
    digests = [f"{row:032x}" for row in range(600)]
    digests[500], digests[501] = digests[3], digests[7]
    features = extract_features(make_pair(digests=digests), (*STUDY_FEATURES, "copies"))
    assert len(features) == 598
    assert features.example_ids.tolist() == [row for row in range(600) if row not in (500, 501)]
    assert features.copies[[3, 4, 7]].tolist() == [2, 1, 2]
    assert features.values[3, 4] == 2
    assert features.digests.to_pylist() == [digests[row] for row in features.example_ids]


def test_examples_that_both_models_recite_are_marked():
    assert extract_features(make_pair(recited=25)).recited_by_both.tolist() == [row < 25 for row in range(600)]


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("nll", np.nan, "A finite teacher_perplexity was expected of every example of train.jsonl, and it is nan"),
        ("nll", np.inf, "and it is inf at example 5"),
        ("kl", np.nan, r"A finite kl was expected .* nan at example 5 \(1 of 600 in all\)"),
    ],
)
def test_a_feature_that_is_not_finite_is_refused_with_its_position(column, value, message):
    values = np.ones(600)
    values[5] = value
    with pytest.raises(DataError, match=message):
        extract_features(make_pair(**{column: values}))


def test_missing_zlib_bytes_are_reported_as_a_missing_tokenizer():
    pair = make_pair()
    column = pair.teacher.rows.column_names.index("zlib_bytes")
    rows = pair.teacher.rows.set_column(column, "zlib_bytes", pa.nulls(600, pa.int32()))
    with pytest.raises(DataError, match="no tokenizer lies beside the models"):
        extract_features(replace(pair, teacher=replace(pair.teacher, rows=rows)))


def test_a_sample_has_no_feature_copies():
    with pytest.raises(SpecError, match="for the feature copies, and a sample holds each example once"):
        extract_features(make_pair(exhaustive=False), ALL_FEATURES)


@pytest.mark.parametrize("names", [("kl", "surprise"), ("kl", "kl"), ()])
def test_unknown_repeated_and_no_features_are_refused(names):
    with pytest.raises(SpecError, match="of risk must be"):
        extract_features(make_pair(), names)
