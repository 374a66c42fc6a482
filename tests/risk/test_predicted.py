"""Risks of examples, thresholds, and the estimates that gates compare."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow.compute as pc
import pytest

from pytest_kdmem.errors import SpecError
from pytest_kdmem.metrics.bounds import upper_bound
from pytest_kdmem.risk import fitting
from pytest_kdmem.risk import predictor as predictor_module
from pytest_kdmem.risk.cutoff import Cutoff
from pytest_kdmem.risk.features import ALL_FEATURES, extract_features
from pytest_kdmem.risk.fitting import fit_predictor
from pytest_kdmem.risk.labels import Labels, labels_from_both_models
from pytest_kdmem.risk.predicted import apply_predictor
from tests.risk.score_pairs import make_pair


def test_what_is_memorized_is_at_risk(predicted, features):
    assert predicted.recall == pytest.approx(0.95, abs=0.02)
    assert (predicted.at_risk & features.recited_by_both).sum() >= 0.9 * 80
    assert predicted.share_at_risk.value == predicted.at_risk.mean()
    assert predicted.share_at_risk.k == len(predicted.examples)
    assert predicted.share_at_risk.exhaustive


def test_examples_are_positions_in_order_of_risk(predicted):
    risks = dict(zip(predicted.features.example_ids.tolist(), predicted.risks, strict=True))
    ordered = [risks[example] for example in predicted.examples]
    assert ordered == sorted(ordered, reverse=True)
    assert (
        min(ordered) >= predicted.threshold > max(risk for id_, risk in risks.items() if id_ not in predicted.examples)
    )


def test_the_bounds_of_the_expected_number_hold_the_true_number(predicted):
    expected = predicted.expected_memorized
    assert expected.low <= 80 <= expected.high
    assert expected.value == pytest.approx(predicted.risks.sum())
    assert expected.unit == "examples"


def test_bounds_hold_the_value_and_are_wider_over_a_sample(predictor, predicted):
    share = predicted.share_at_risk
    assert share.low <= share.value <= share.high
    sample = apply_predictor(extract_features(make_pair(2000, 80, exhaustive=False)), predictor).share_at_risk
    assert not sample.exhaustive
    assert sample.high >= upper_bound(sample.k, 2000, 0.95) > sample.value


def test_a_given_threshold_is_used(features, predictor):
    risk = apply_predictor(features, predictor, Cutoff(0.3))
    assert risk.threshold == pytest.approx(0.3)
    assert risk.share_at_risk.k == (risk.risks >= 0.3).sum()
    lower = apply_predictor(features, predictor, Cutoff(0.01))
    assert lower.share_at_risk.k >= risk.share_at_risk.k
    assert lower.recall >= risk.recall


def test_a_threshold_below_the_least_risk_puts_everything_at_risk(features, predictor):
    risk = apply_predictor(features, predictor, Cutoff(predictor.least / 2))
    assert (risk.share_at_risk.value, risk.recall) == (1.0, 1.0)


def test_a_useless_predictor_puts_nearly_all_examples_at_risk(features, quick_fits):
    """So a gate fails rather than passes if nothing can be predicted."""
    shuffled = np.random.default_rng(0).permutation(features.recited_by_both)
    useless = fit_predictor(features, Labels(shuffled, "nobody", ""))
    assert apply_predictor(features, useless.predictor).share_at_risk.high > 0.85


def test_a_predicted_risk_is_neither_true_nor_false(predicted):
    with pytest.raises(TypeError, match="compare its share_at_risk"):
        bool(predicted)
    assert repr(predicted) == f"PredictedRisk(train: {predicted.share_at_risk})"


def test_the_table_has_a_row_for_each_distinct_example(predicted):
    table = predicted.table()
    assert table.column_names[:5] == ["example_id", "digest", "copies", "risk", "at_risk"]
    assert pc.sum(table["at_risk"]).as_py() == predicted.share_at_risk.k
    assert np.allclose(table["kl"].to_numpy(), predicted.features.values[:, 2])


def test_calibrated_risks_hold_on_data_of_the_same_kind(monkeypatch):
    """Fitted to one draw and applied to another, risks come true."""
    monkeypatch.setattr(fitting, "TRIALS", 30)
    monkeypatch.setattr(fitting, "REFITS", 30)
    rng = np.random.default_rng(9)
    fitted_to, applied_to = (extract_features(make_pair(6000, 300, seed=seed, apart=1.2)) for seed in (1, 2))

    def draw_labels(features):
        perplexity = features.values[:, 0]
        return rng.random(6000) < 1 / (1 + np.exp(-(4 - 2 * perplexity / perplexity.std())))

    first_labels, second_labels = draw_labels(fitted_to), draw_labels(applied_to)
    predictor = fit_predictor(fitted_to, Labels(first_labels, "a student", "")).predictor
    risk = apply_predictor(applied_to, predictor)
    for low, high in ((0.01, 0.1), (0.1, 0.3), (0.3, 0.7)):
        in_bin = (risk.risks >= low) & (risk.risks < high)
        assert second_labels[in_bin].mean() == pytest.approx(risk.risks[in_bin].mean(), abs=0.06)
    assert risk.expected_memorized.low <= second_labels.sum() <= risk.expected_memorized.high


def test_further_features_are_applied(quick_fits):
    features = extract_features(make_pair(), ALL_FEATURES)
    predictor = fit_predictor(features, labels_from_both_models(features)).predictor
    assert predictor.features == ALL_FEATURES
    assert apply_predictor(features, predictor).share_at_risk.k >= 38


def test_blocks_of_rows_give_the_same_risks(features, predictor, monkeypatch):
    whole = apply_predictor(features, predictor)
    monkeypatch.setattr(predictor_module, "BLOCK_ROWS", 7)
    blocks = apply_predictor(features, predictor)
    assert np.allclose(whole.risks, blocks.risks)
    assert whole.share_at_risk.high == blocks.share_at_risk.high


def test_duplicates_of_examples_at_risk_are_counted_over_a_whole_set_only(predicted):
    features = predicted.features
    first, second, third = (features.digests[index].as_py() for index in np.flatnonzero(predicted.at_risk)[:3])
    copies = features.copies.copy()
    copies[features.digests.index(first).as_py()] = 2
    risk = replace(predicted, features=replace(features, copies=copies), near_duplicates={first, second, third})
    assert risk.duplicate_counts == (1, 2)
    assert replace(risk, features=replace(features, exhaustive=False)).duplicate_counts is None


def test_risks_that_are_no_numbers_are_refused(predictor, features):
    broken = replace(predictor, scale=np.full(4, 1e-320), coefficients=np.array([1.0, -1.0, 0.0, 0.0]))
    with np.errstate(all="ignore"), pytest.raises(SpecError, match="Finite risks were expected"):
        apply_predictor(features, broken)
