"""Calibrated risks come true as often as they say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from pytest_kdmem.risk.calibration import Calibration, calibrate, probability


@given(st.floats(0.3, 3.0), st.floats(-3.0, 1.0))
@settings(max_examples=20)
def test_a_planted_calibration_is_recovered(slope, intercept):
    rng = np.random.default_rng(1)
    truth = rng.normal(-1, 2, 20_000)
    labels = rng.random(20_000) < expit(truth)
    odds = (truth - intercept) / slope
    assert calibrate(odds, labels).risk(odds) == pytest.approx(expit(truth), abs=0.04)


def test_if_features_predict_every_outcome_it_is_the_unpenalised_regression():
    rng = np.random.default_rng(2)
    odds = rng.normal(-2, 2, 5000)
    labels = rng.random(5000) < expit(0.7 * odds - 1)
    reference = LogisticRegression(C=np.inf).fit(odds[:, None], labels)
    calibration = calibrate(odds, labels)
    log_odds = np.linspace(-4, 3, 20)
    assert calibration.risk(log_odds) == pytest.approx(reference.predict_proba(log_odds[:, None])[:, 1], abs=0.03)


def test_outcomes_that_no_feature_predicts_do_not_flatten_the_slope():
    """Of a thousand that look safe three are memorized, and of those that look memorized a fifth are not."""
    rng = np.random.default_rng(6)
    odds = np.concatenate([rng.normal(-6, 1.5, 20_000), rng.normal(3, 2, 1000)])
    truth = 0.003 + (0.8 - 0.003) * expit(3 * odds)
    labels = rng.random(21_000) < truth
    calibration = calibrate(odds, labels)
    assert calibration.least == pytest.approx(0.003, abs=0.002)
    assert calibration.greatest == pytest.approx(0.8, abs=0.04)
    assert np.abs(calibration.risk(odds) - truth).mean() < 0.005


def test_separable_labels_have_a_finite_slope():
    odds = np.concatenate([np.linspace(-5, -4, 500), np.linspace(1, 2, 30)])
    calibration = calibrate(odds, odds > 0)
    assert 0 < calibration.slope < 20
    assert calibration.risk(np.array([-4.5, 1.5])).round(2).tolist() == [0.0, pytest.approx(0.97, abs=0.03)]


def test_an_outlier_does_not_move_the_calibration_of_the_others():
    rng = np.random.default_rng(8)
    odds = rng.normal(-2, 2, 5000)
    labels = rng.random(5000) < expit(2 * odds)
    plain = calibrate(odds, labels)
    with_outlier = calibrate(np.append(odds, [-1e6]), np.append(labels, [False]))
    assert with_outlier.risk(odds) == pytest.approx(plain.risk(odds), abs=0.02)


def test_equal_log_odds_give_equal_risks():
    calibration = calibrate(np.full(100, 0.3) + np.linspace(0, 1e-14, 100), np.arange(100) < 20)
    assert calibration.risk(np.array([0.3])) == pytest.approx([0.2], abs=0.02)


def test_log_odds_that_predict_the_opposite_give_equal_risks():
    rng = np.random.default_rng(3)
    odds = rng.normal(0, 1, 2000)
    calibration = calibrate(odds, rng.random(2000) < expit(-odds - 2))
    assert calibration.slope == 0
    assert len(set(calibration.risk(odds).tolist())) == 1


def test_log_odds_are_rescaled_linearly():
    assert Calibration(2.0, -1.0).rescale(np.array([0.0, 1.0])).tolist() == [-1.0, 1.0]


def test_probabilities_do_not_overflow():
    assert probability(np.array([-800.0, 0.0, 800.0])).tolist() == [0.0, 0.5, 1.0]
    assert probability(logit(np.array([0.3]))) == pytest.approx(0.3)
