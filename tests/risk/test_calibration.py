"""Log-odds → risks that come true as often as they say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit
from scipy.stats import binom
from sklearn.linear_model import LogisticRegression

from pytest_kdmem.risk.calibration import Calibration, calibrate, probability
from pytest_kdmem.risk.reliability import brier_score, draw_memorized_count, reliability_bins


@given(st.floats(0.3, 3.0), st.floats(-3.0, 1.0))
def test_the_calibration_that_was_planted_is_found(slope, intercept):
    rng = np.random.default_rng(1)
    truth = rng.normal(-1, 2, 40_000)
    labels = rng.random(40_000) < expit(truth)
    odds = (truth - intercept) / slope
    assert calibrate(odds, labels).risk(odds) == pytest.approx(expit(truth), abs=0.04)


def test_without_examples_that_nothing_tells_it_is_the_unpenalised_regression():
    rng = np.random.default_rng(2)
    odds = rng.normal(-2, 2, 5000)
    labels = rng.random(5000) < expit(0.7 * odds - 1)
    reference = LogisticRegression(C=np.inf).fit(odds[:, None], labels)
    found = calibrate(odds, labels)
    at = np.linspace(-4, 3, 20)
    assert found.risk(at) == pytest.approx(reference.predict_proba(at[:, None])[:, 1], abs=0.03)


def test_examples_that_nothing_tells_do_not_flatten_the_slope():
    """Of a thousand that look safe three are memorized, and of those that look memorized a fifth are not."""
    rng = np.random.default_rng(6)
    odds = np.concatenate([rng.normal(-6, 1.5, 20_000), rng.normal(3, 2, 1000)])
    truth = 0.003 + (0.8 - 0.003) * expit(3 * odds)
    labels = rng.random(21_000) < truth
    found = calibrate(odds, labels)
    assert found.least == pytest.approx(0.003, abs=0.002)
    assert found.greatest == pytest.approx(0.8, abs=0.04)
    assert np.abs(found.risk(odds) - truth).mean() < 0.005


def test_separable_labels_have_a_finite_slope():
    odds = np.concatenate([np.linspace(-5, -4, 500), np.linspace(1, 2, 30)])
    found = calibrate(odds, odds > 0)
    assert 0 < found.slope < 20
    assert found.risk(np.array([-4.5, 1.5])).round(2).tolist() == [0.0, pytest.approx(0.97, abs=0.03)]


def test_an_odd_example_does_not_move_the_calibration_of_the_others():
    rng = np.random.default_rng(8)
    odds = rng.normal(-2, 2, 5000)
    labels = rng.random(5000) < expit(2 * odds)
    plain = calibrate(odds, labels)
    odd = calibrate(np.append(odds, [-1e6]), np.append(labels, [False]))
    assert odd.risk(odds) == pytest.approx(plain.risk(odds), abs=0.02)


def test_log_odds_that_are_all_the_same_give_all_the_same_risk():
    found = calibrate(np.full(100, 0.3) + np.linspace(0, 1e-14, 100), np.arange(100) < 20)
    assert found.risk(np.array([0.3])) == pytest.approx([0.2], abs=0.02)


def test_log_odds_that_tell_nothing_or_lie_give_all_the_same_risk():
    rng = np.random.default_rng(3)
    odds = rng.normal(0, 1, 2000)
    found = calibrate(odds, rng.random(2000) < expit(-odds - 2))
    assert found.slope == 0
    assert len(set(found.risk(odds).tolist())) == 1


def test_calibration_moves_odds_linearly():
    assert Calibration(2.0, -1.0).rescale(np.array([0.0, 1.0])).tolist() == [-1.0, 1.0]


def test_numbers_to_come_have_the_distribution_of_their_risks():
    rng = np.random.default_rng(0)
    risks = np.concatenate([rng.random(40), rng.random(3000) * 0.02])
    drawn = np.array([draw_memorized_count(risks, rng) for _ in range(4000)])
    exact = np.ones(1)  # the Poisson binomial, one example after another
    for risk in risks:
        exact = np.convolve(exact, [1 - risk, risk])
    assert drawn.mean() == pytest.approx(risks.sum(), rel=0.02)
    for share in (0.05, 0.5, 0.95):
        assert np.quantile(drawn, share) == pytest.approx(np.searchsorted(exact.cumsum(), share), abs=2)


def test_reliability_holds_where_risks_are_right_and_not_where_they_are_not():
    rng = np.random.default_rng(4)
    risks = rng.random(5000)
    right = reliability_bins(risks, [risks] * 100, rng.random(5000) < risks)
    wrong = reliability_bins(risks, [risks] * 100, rng.random(5000) < risks**3)
    assert sum(one.n for one in right) == 5000
    assert sum(one.covers_observed for one in right) >= len(right) - 1
    assert not any(one.covers_observed for one in wrong if 0.2 < one.expected < 0.9)
    for one in right:
        assert one.lower <= one.expected <= one.upper


def test_an_interval_is_that_of_the_binomial_where_a_bin_has_one_risk():
    [one] = reliability_bins(np.full(200, 0.2), [np.full(200, 0.2)] * 100, np.zeros(200, bool))
    assert one.low * 200 == pytest.approx(binom(200, 0.2).ppf(0.025), abs=2)
    assert one.high * 200 == pytest.approx(binom(200, 0.2).ppf(0.975), abs=2)
    assert (one.lower, one.upper, one.observed, one.covers_observed) == (0.1, 0.3, 0.0, False)


def test_refits_that_differ_widen_an_interval():
    labels, risks = np.zeros(200, bool), np.full(200, 0.2)
    [sure] = reliability_bins(risks, [risks] * 50, labels)
    [unsure] = reliability_bins(risks, [np.full(200, risk) for risk in np.linspace(0.05, 0.35, 50)], labels)
    assert unsure.low < sure.low < sure.high < unsure.high


def test_brier_and_probability_are_the_textbook_s():
    assert brier_score(np.array([0.2, 0.9]), np.array([False, True])) == pytest.approx((0.04 + 0.01) / 2)
    assert probability(np.array([-800.0, 0.0, 800.0])).tolist() == [0.0, 0.5, 1.0]
    assert probability(logit(np.array([0.3]))) == pytest.approx(0.3)
