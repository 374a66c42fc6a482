"""The study's protocol, against a plain account of it, and what must come out where there is nothing to learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import precision_score, recall_score, roc_auc_score
from sklearn.preprocessing import StandardScaler

from pytest_kdmem.errors import DataError
from pytest_kdmem.risk.classifier import draw_rows, fit_classifier, sampling_offset
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


def test_figures_are_those_of_a_plain_account_of_the_protocol():
    values, labels = separated(apart=1.5)
    rng = np.random.default_rng(7)
    aucs, precisions, recalls, weights = [], [], [], []
    for _ in range(200):
        positives = rng.permutation(np.flatnonzero(labels))
        negatives = rng.choice(np.flatnonzero(~labels), 270, replace=False)
        train, test = [*positives[27:], *negatives[81:]], [*positives[:27], *negatives[:81]]
        scaler = StandardScaler().fit(values[train])
        model = LogisticRegression().fit(scaler.transform(values[train]), labels[train])
        said = model.predict(scaler.transform(values[test]))
        aucs.append(roc_auc_score(labels[test], model.decision_function(scaler.transform(values[test]))))
        precisions.append(precision_score(labels[test], said))
        recalls.append(recall_score(labels[test], said))
        weights.append(model.coef_[0])
    found = run_trials(values, labels, STUDY_FEATURES, "a student")
    for name, plain in (("roc_auc", aucs), ("precision", precisions), ("recall", recalls)):
        assert found.metrics[name].mean == pytest.approx(np.mean(plain), abs=0.01)
        assert found.metrics[name].deviation == pytest.approx(np.std(plain, ddof=1), rel=0.3)
    assert [one.mean for one in found.coefficients.values()] == pytest.approx(np.mean(weights, axis=0), abs=0.05)
    assert list(found.coefficients) == list(STUDY_FEATURES)


def test_a_perfect_feature_is_perfectly_used():
    values, labels = separated(apart=30)
    found = run_trials(values, labels, STUDY_FEATURES, "a student", trials=20)
    assert [found.metrics[name].mean for name in ("roc_auc", "recall", "pr_auc")] == pytest.approx([1, 1, 1])
    assert (found.examples, found.positives, found.prevalence) == (3000, 90, 0.03)


def test_shuffled_labels_cannot_be_predicted():
    values, labels = separated(positives=200, apart=4)
    assert shuffled_roc_auc(values, labels, STUDY_FEATURES, "a student").mean == pytest.approx(0.5, abs=0.05)
    mixed = np.random.default_rng(1).permutation(labels)
    assert run_trials(values, mixed, STUDY_FEATURES, "nobody").pr_auc.mean < 3 * labels.mean()


def test_the_true_prevalence_makes_precision_worse_and_leaves_the_order():
    """At one positive to three negatives a precision of p is, at the prevalence q, p's odds times 3q / (1 − q)."""
    values, labels = separated(apart=1.2)
    found = run_trials(values, labels, STUDY_FEATURES, "a student")
    odds = found.precision.mean / (1 - found.precision.mean) * 3 * 0.03 / 0.97
    assert found.true_precision.mean == pytest.approx(odds / (1 + odds), abs=0.05)
    assert found.true_recall.mean < found.recall.mean


def test_each_example_is_judged_by_trials_that_did_not_train_on_it(monkeypatch):
    values, labels = separated(n=400, positives=40, apart=0.0)
    values = np.column_stack([values, np.arange(400) % 7 == 0]).astype(float)
    found = run_trials(values, labels, (*STUDY_FEATURES, "copies"), "a student", trials=40)
    assert np.isfinite(found.log_odds).all()
    # Had any been trained on, its own label would show.
    assert roc_auc_score(labels, found.log_odds) < 0.6


def test_the_same_seed_gives_the_same_figures_and_another_others():
    values, labels = separated(apart=1)
    first, again, other = (run_trials(values, labels, STUDY_FEATURES, "s", trials=5, seed=seed) for seed in (1, 1, 2))
    assert first.metrics == again.metrics
    assert first.metrics != other.metrics


def test_negatives_are_three_to_a_positive_and_drawn_anew():
    labels = np.arange(1000) < 50
    first, second = (draw_rows(labels, np.random.default_rng(seed)) for seed in (0, 1))
    assert len(first) == len(set(first.tolist())) == 200
    assert labels[first].sum() == 50
    assert set(first.tolist()) != set(second.tolist())


def test_few_negatives_are_all_taken_and_nothing_is_corrected():
    labels = np.arange(100) < 60
    assert sorted(draw_rows(labels, np.random.default_rng(0)).tolist()) == list(range(100))
    assert sampling_offset(labels) == 0


def test_the_correction_for_sampling_gives_the_odds_of_the_whole():
    """King and Zeng's prior correction: fitted to a sample and moved, the intercept is that of a fit to all."""
    rng = np.random.default_rng(5)
    values = rng.normal(size=(60_000, 1))
    labels = rng.random(60_000) < 1 / (1 + np.exp(6 - 1.5 * values[:, 0]))
    rows = draw_rows(labels, rng)
    whole, sample = fit_classifier(values, labels), fit_classifier(values[rows], labels[rows])
    at = np.array([[-1.0], [0.0], [2.0]])
    assert sample.log_odds(at) + sampling_offset(labels) == pytest.approx(whole.log_odds(at), abs=0.35)


@pytest.mark.parametrize(
    ("positives", "words"),
    [
        (0, "At least 10 memorized examples are needed to learn what is at risk; found 0 of 100, by a student"),
        (9, "found 9 of 100, by a student: label from a model that memorizes more"),
        (91, "At least 10 examples that are not memorized are needed .* found 9 of 100"),
        (100, "found 0 of 100, by a student: a classifier cannot be fitted to one class alone"),
    ],
)
def test_too_few_of_either_class_are_told(positives, words):
    values = np.random.default_rng(0).normal(size=(100, 4))
    with pytest.raises(DataError, match=words):
        run_trials(values, np.arange(100) < positives, STUDY_FEATURES, "a student")


def test_a_figure_is_mean_and_sample_deviation():
    assert TrialStatistic.from_values([1.0, 2.0, 4.0]) == TrialStatistic(
        pytest.approx(7 / 3), pytest.approx(np.std([1, 2, 4], ddof=1))
    )
    assert TrialStatistic.from_values([1.0]).deviation == 0
