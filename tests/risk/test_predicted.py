"""Predictor × features → what a gate is held over."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pyarrow.compute as pc
import pytest

from pytest_kdmem.errors import SpecError
from pytest_kdmem.metrics.bounds import upper_bound
from pytest_kdmem.risk.features import ALL_FEATURES, extract_features
from pytest_kdmem.risk.fitting import fit_predictor
from pytest_kdmem.risk.labels import Labels, labels_from_both_models
from pytest_kdmem.risk.predicted import Cutoff, apply_predictor


@pytest.fixture(scope="module")
def features(make_pair):
    return extract_features(make_pair(2000, 80))


@pytest.fixture(scope="module")
def fitted(features):
    return fit_predictor(features, labels_from_both_models(features))


@pytest.fixture(scope="module")
def found(features, fitted):
    return apply_predictor(features, fitted.predictor)


def test_what_is_memorized_is_at_risk(found, features):
    assert found.recall == pytest.approx(0.95, abs=0.02)
    assert (found.at_risk & features.recited_by_both).sum() >= 0.9 * 80
    assert found.share_at_risk.value == found.at_risk.mean()
    assert found.share_at_risk.k == len(found.examples)
    assert found.share_at_risk.exhaustive


def test_examples_are_ids_by_risk(found):
    risks = dict(zip(found.features.example_ids.tolist(), found.risks, strict=True))
    ordered = [risks[example] for example in found.examples]
    assert ordered == sorted(ordered, reverse=True)
    assert min(ordered) >= found.threshold > max(risk for at, risk in risks.items() if at not in found.examples)


def test_the_expected_number_holds_the_true_one(found):
    expected = found.expected_memorized
    assert expected.low <= 80 <= expected.high
    assert expected.value == pytest.approx(found.risks.sum())
    assert expected.unit == "examples"


def test_bounds_hold_the_value_and_those_of_a_sample_are_wider(make_pair, fitted, found):
    share = found.share_at_risk
    assert share.low <= share.value <= share.high
    sample = apply_predictor(extract_features(make_pair(2000, 80, exhaustive=False)), fitted.predictor).share_at_risk
    assert not sample.exhaustive
    assert sample.high >= upper_bound(sample.k, 2000, 0.95) > sample.value


def test_a_threshold_of_one_s_own_is_held(features, fitted):
    found = apply_predictor(features, fitted.predictor, Cutoff(0.3))
    assert found.threshold == pytest.approx(0.3)
    assert found.share_at_risk.k == (found.risks >= 0.3).sum()
    lower = apply_predictor(features, fitted.predictor, Cutoff(0.01))
    assert lower.share_at_risk.k >= found.share_at_risk.k
    assert lower.recall >= found.recall


def test_a_threshold_below_the_least_risk_puts_everything_at_risk(features, fitted):
    found = apply_predictor(features, fitted.predictor, Cutoff(fitted.predictor.least / 2))
    assert (found.share_at_risk.value, found.recall) == (1.0, 1.0)


def test_a_threshold_that_finds_less_than_half_is_refused_with_one_that_finds_most(features, fitted):
    with pytest.raises(SpecError, match=r"0.99999 finds .*% in trials .* \(.* finds 95.00%\): set a lower"):
        apply_predictor(features, fitted.predictor, Cutoff(0.99999))


@pytest.mark.parametrize("threshold", [0.0, 1.0, -0.1, math.nan])
def test_a_threshold_is_a_probability_and_certainty_is_none(features, fitted, threshold):
    with pytest.raises(SpecError, match="must lie between 0 and 1"):
        apply_predictor(features, fitted.predictor, Cutoff(threshold))


def test_a_predictor_that_tells_nothing_puts_nearly_all_at_risk(features):
    """So that a gate over it fails, and does not pass for want of knowledge."""
    mixed = np.random.default_rng(0).permutation(features.recited_by_both)
    useless = fit_predictor(features, Labels(mixed, "nobody", ""))
    assert apply_predictor(features, useless.predictor).share_at_risk.high > 0.85


def test_it_is_neither_true_nor_false(found):
    with pytest.raises(TypeError, match="compare its share_at_risk"):
        bool(found)
    assert repr(found) == f"PredictedRisk(train: {found.share_at_risk})"


def test_its_table_has_a_row_per_distinct_example(found):
    table = found.table()
    assert table.column_names[:5] == ["example_id", "digest", "copies", "risk", "at_risk"]
    assert pc.sum(table["at_risk"]).as_py() == found.share_at_risk.k
    assert np.allclose(table["kl"].to_numpy(), found.features.values[:, 2])


def test_calibrated_risks_hold_on_data_of_the_same_kind(make_pair):
    """Fitted to one draw, told of another: what is memorized of each risk lies within what is told."""
    rng = np.random.default_rng(9)
    features = [extract_features(make_pair(6000, 300, seed=seed, apart=1.2)) for seed in (1, 2)]
    truth = [1 / (1 + np.exp(-(4 - 2 * one.values[:, 0] / one.values[:, 0].std()))) for one in features]
    drawn = [rng.random(6000) < one for one in truth]
    fitted = fit_predictor(features[0], Labels(drawn[0], "a student", "")).predictor
    told = apply_predictor(features[1], fitted)
    for low, high in ((0.01, 0.1), (0.1, 0.3), (0.3, 0.7)):
        chosen = (told.risks >= low) & (told.risks < high)
        assert drawn[1][chosen].mean() == pytest.approx(told.risks[chosen].mean(), abs=0.06)
    assert told.expected_memorized.low <= drawn[1].sum() <= told.expected_memorized.high


def test_more_features_are_applied_by_name(make_pair):
    features = extract_features(make_pair(), ALL_FEATURES)
    predictor = fit_predictor(features, labels_from_both_models(features)).predictor
    assert predictor.features == ALL_FEATURES
    assert apply_predictor(replace(features), predictor).share_at_risk.k >= 38


def test_a_block_of_rows_at_a_time_gives_the_same(features, fitted, monkeypatch):
    whole = apply_predictor(features, fitted.predictor)
    monkeypatch.setattr("pytest_kdmem.risk.predictor.BLOCK_ROWS", 7)
    blocks = apply_predictor(features, fitted.predictor)
    assert np.allclose(whole.risks, blocks.risks)
    assert whole.share_at_risk.high == blocks.share_at_risk.high


def test_what_was_fitted_tells_how_good_it_is(fitted):
    assert fitted.brier < fitted.brier_of_chance == pytest.approx(0.04 * 0.96)
    assert sum(one.n for one in fitted.predictor.reliability) == 2000
    assert fitted.predictor.quality["roc_auc"][0] == fitted.assessment.roc_auc.mean > 0.95
