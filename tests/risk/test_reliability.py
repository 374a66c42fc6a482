"""Bins of a reliability curve cover what was memorized where risks are right, and only there."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from pytest_kdmem.risk.reliability import brier_score, draw_memorized_count, reliability_bins


def test_drawn_counts_have_the_distribution_of_their_risks():
    rng = np.random.default_rng(0)
    risks = np.concatenate([rng.random(40), rng.random(3000) * 0.02])
    counts = np.array([draw_memorized_count(risks, rng) for _ in range(4000)])
    exact = np.ones(1)  # the Poisson binomial distribution, one example after another
    for risk in risks:
        exact = np.convolve(exact, [1 - risk, risk])
    assert counts.mean() == pytest.approx(risks.sum(), rel=0.02)
    for share in (0.05, 0.5, 0.95):
        assert np.quantile(counts, share) == pytest.approx(np.searchsorted(exact.cumsum(), share), abs=2)


def test_bins_cover_the_observed_share_if_risks_are_right_and_not_otherwise():
    rng = np.random.default_rng(4)
    risks = rng.random(5000)
    right = reliability_bins(risks, [risks] * 100, rng.random(5000) < risks)
    wrong = reliability_bins(risks, [risks] * 100, rng.random(5000) < risks**3)
    assert sum(bin_.n for bin_ in right) == 5000
    assert sum(bin_.covers_observed for bin_ in right) >= len(right) - 1
    assert not any(bin_.covers_observed for bin_ in wrong if 0.2 < bin_.expected < 0.9)
    assert all(bin_.lower <= bin_.expected <= bin_.upper for bin_ in right)


def test_the_interval_of_equal_risks_is_that_of_the_binomial_distribution():
    [only_bin] = reliability_bins(np.full(200, 0.2), [np.full(200, 0.2)] * 100, np.zeros(200, bool))
    assert only_bin.low * 200 == pytest.approx(binom(200, 0.2).ppf(0.025), abs=2)
    assert only_bin.high * 200 == pytest.approx(binom(200, 0.2).ppf(0.975), abs=2)
    assert (only_bin.lower, only_bin.upper, only_bin.observed, only_bin.covers_observed) == (0.1, 0.3, 0.0, False)


def test_refits_that_differ_widen_the_interval():
    labels, risks = np.zeros(200, bool), np.full(200, 0.2)
    [equal] = reliability_bins(risks, [risks] * 50, labels)
    [different] = reliability_bins(risks, [np.full(200, risk) for risk in np.linspace(0.05, 0.35, 50)], labels)
    assert different.low < equal.low < equal.high < different.high


def test_the_last_bin_holds_certain_risks():
    [only_bin] = reliability_bins(np.ones(3), [np.ones(3)], np.ones(3, bool))
    assert (only_bin.upper, only_bin.n, only_bin.covers_observed) == (1.0, 3, True)


def test_the_brier_score_is_the_mean_squared_difference():
    assert brier_score(np.array([0.2, 0.9]), np.array([False, True])) == pytest.approx((0.04 + 0.01) / 2)
