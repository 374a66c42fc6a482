"""Trials of the study's protocol agree with a plain account of it, and find nothing where nothing can be learned."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import precision_score, recall_score, roc_auc_score
from sklearn.preprocessing import StandardScaler

from pytest_kdmem.errors import DataError
from pytest_kdmem.risk.features import STUDY_FEATURES
from pytest_kdmem.risk.trials import TrialStatistic, run_trials, shuffled_roc_auc


def separated(n: int = 3000, positives: int = 90, apart: float = 2.5) -> tuple[np.ndarray, np.ndarray]:
    """Four features, of which two tell the positives."""
    rng = np.random.default_rng(0)
    labels = np.arange(n) < positives
    values = rng.normal(size=(n, 4)) * [1, 10, 0.1, 100] + [5, 50, 0.5, 500]
    values[labels, 2] -= 0.1 * apart
    values[labels, 3] -= 100 * apart
    return values, labels


def test_metrics_agree_with_a_plain_account_of_the_protocol():
    values, labels = separated(apart=1.5)
    rng = np.random.default_rng(7)
    aucs, precisions, recalls, weights = [], [], [], []
    for _ in range(120):
        positives = rng.permutation(np.flatnonzero(labels))
        negatives = rng.choice(np.flatnonzero(~labels), 270, replace=False)
        train, test = [*positives[27:], *negatives[81:]], [*positives[:27], *negatives[:81]]
        scaler = StandardScaler().fit(values[train])
        model = LogisticRegression().fit(scaler.transform(values[train]), labels[train])
        predictions = model.predict(scaler.transform(values[test]))
        aucs.append(roc_auc_score(labels[test], model.decision_function(scaler.transform(values[test]))))
        precisions.append(precision_score(labels[test], predictions))
        recalls.append(recall_score(labels[test], predictions))
        weights.append(model.coef_[0])
    assessment = run_trials(values, labels, STUDY_FEATURES, "a student")
    for name, values_of_plain in (("roc_auc", aucs), ("precision", precisions), ("recall", recalls)):
        assert assessment.metrics[name].mean == pytest.approx(np.mean(values_of_plain), abs=0.01)
        assert assessment.metrics[name].deviation == pytest.approx(np.std(values_of_plain, ddof=1), rel=0.3)
    means = [statistic.mean for statistic in assessment.coefficients.values()]
    assert means == pytest.approx(np.mean(weights, axis=0), abs=0.05)
    assert list(assessment.coefficients) == list(STUDY_FEATURES)


def test_a_perfect_feature_is_perfectly_used():
    values, labels = separated(apart=30)
    assessment = run_trials(values, labels, STUDY_FEATURES, "a student", trials=20)
    assert [assessment.metrics[name].mean for name in ("roc_auc", "recall", "pr_auc")] == pytest.approx([1, 1, 1])
    assert (assessment.examples, assessment.positives, assessment.prevalence) == (3000, 90, 0.03)


def test_shuffled_labels_cannot_be_predicted():
    values, labels = separated(positives=200, apart=4)
    assert shuffled_roc_auc(values, labels, "a student", trials=40).mean == pytest.approx(0.5, abs=0.05)
    shuffled = np.random.default_rng(1).permutation(labels)
    assert run_trials(values, shuffled, STUDY_FEATURES, "nobody", trials=20).pr_auc.mean < 3 * labels.mean()


def test_precision_is_lower_at_the_true_prevalence():
    """At one positive to three negatives a precision of p is, at the prevalence q, p's odds times 3q / (1 − q)."""
    values, labels = separated(apart=1.2)
    assessment = run_trials(values, labels, STUDY_FEATURES, "a student")
    odds = assessment.precision.mean / (1 - assessment.precision.mean) * 3 * 0.03 / 0.97
    assert assessment.true_precision.mean == pytest.approx(odds / (1 + odds), abs=0.05)
    assert assessment.true_recall.mean < assessment.recall.mean


def test_log_odds_of_an_example_come_from_trials_that_did_not_train_on_it(monkeypatch):
    values, labels = separated(n=400, positives=40, apart=0.0)
    values = np.column_stack([values, np.arange(400) % 7 == 0]).astype(float)
    assessment = run_trials(values, labels, (*STUDY_FEATURES, "copies"), "a student", trials=40)
    assert np.isfinite(assessment.log_odds).all()
    # Had any been trained on, its own label would show.
    assert roc_auc_score(labels, assessment.log_odds) < 0.6


def test_equal_seeds_give_equal_metrics_and_different_seeds_do_not():
    values, labels = separated(apart=1)
    first, again, different = (
        run_trials(values, labels, STUDY_FEATURES, "a student", trials=5, seed=seed) for seed in (1, 1, 2)
    )
    assert first.metrics == again.metrics
    assert first.metrics != different.metrics


def test_a_statistic_is_mean_and_sample_deviation():
    assert TrialStatistic.from_values([1.0, 2.0, 4.0]) == TrialStatistic(
        pytest.approx(7 / 3), pytest.approx(np.std([1, 2, 4], ddof=1))
    )
    assert TrialStatistic.from_values([1.0]).deviation == 0


def test_too_few_memorized_examples_are_refused():
    values = np.random.default_rng(0).normal(size=(100, 4))
    with pytest.raises(DataError, match="found 9 of 100, by a student"):
        run_trials(values, np.arange(100) < 9, STUDY_FEATURES, "a student")
