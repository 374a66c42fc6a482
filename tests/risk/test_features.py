"""Score tables → features: each is what its name says, over distinct examples, and all are finite."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_kdmem.errors import DataError, SpecError
from pytest_kdmem.risk.features import ALL_FEATURES, STUDY_FEATURES, extract_features


def test_the_study_s_four_are_what_their_names_say(make_pair):
    pair = make_pair()
    found = extract_features(pair)
    assert found.names == STUDY_FEATURES == ("teacher_perplexity", "baseline_perplexity", "kl", "zlib_bytes")
    for at, (rows, name) in enumerate(((pair.teacher.rows, "nll"), (pair.baseline.rows, "nll"))):
        assert np.allclose(found.values[:, at], np.exp(rows[name].to_numpy().astype(float)))
    assert np.allclose(found.values[:, 2], pair.kl["kl"].to_numpy())
    assert np.allclose(found.values[:, 3], pair.teacher.rows["zlib_bytes"].to_numpy())
    assert len(found) == 600


def test_further_ones_stand_behind_them(make_pair):
    pair = make_pair()
    found = extract_features(pair, ALL_FEATURES)
    assert found.names[:4] == STUDY_FEATURES
    assert np.allclose(found.values[:, :4], extract_features(pair).values)
    assert np.allclose(found.values[:, ALL_FEATURES.index("baseline_margin")], pair.baseline.rows["margin"].to_numpy())
    assert np.allclose(found.values[:, ALL_FEATURES.index("teacher_entropy")], pair.teacher.rows["entropy"].to_numpy())
    assert (found.values[:, ALL_FEATURES.index("copies")] == 1).all()


def test_copies_are_one_example_at_its_first_place(make_pair):
    digests = [f"{at:032x}" for at in range(600)]
    digests[500], digests[501] = digests[3], digests[7]
    found = extract_features(make_pair(digests=digests), (*STUDY_FEATURES, "copies"))
    assert len(found) == 598
    assert found.example_ids.tolist() == [at for at in range(600) if at not in (500, 501)]
    assert found.copies[[3, 4, 7]].tolist() == [2, 1, 2]
    assert found.values[3, 4] == 2
    assert found.digests.to_pylist() == [digests[at] for at in found.example_ids]


def test_what_both_recite_is_known(make_pair):
    assert extract_features(make_pair(both=25)).recited_by_both.tolist() == [at < 25 for at in range(600)]


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("nll", np.nan, "A finite teacher_perplexity was expected of every example of train.jsonl, and it is nan"),
        ("nll", np.inf, "and it is inf at example 5"),
        ("kl", np.nan, r"A finite kl was expected .* nan at example 5 \(1 of 600 in all\)"),
    ],
)
def test_what_is_not_finite_is_refused_with_its_place(make_pair, column, value, words):
    values = np.ones(600)
    values[5] = value
    with pytest.raises(DataError, match=words):
        extract_features(make_pair(**{column: values}))


def test_missing_zlib_bytes_are_told_as_the_lack_of_a_tokenizer(make_pair):
    from dataclasses import replace

    import pyarrow as pa

    pair = make_pair()
    at = pair.teacher.rows.column_names.index("zlib_bytes")
    rows = pair.teacher.rows.set_column(at, "zlib_bytes", pa.nulls(600, pa.int32()))
    with pytest.raises(DataError, match="no tokenizer lies beside the models"):
        extract_features(replace(pair, teacher=replace(pair.teacher, rows=rows)))


def test_copies_are_known_of_a_whole_set_only(make_pair):
    with pytest.raises(SpecError, match="for the feature copies, and a sample holds each example once"):
        extract_features(make_pair(exhaustive=False), ALL_FEATURES)


@pytest.mark.parametrize("names", [("kl", "surprise"), ("kl", "kl"), ()])
def test_features_are_known_ones_named_once(make_pair, names):
    with pytest.raises(SpecError, match="of risk must be"):
        extract_features(make_pair(), names)
