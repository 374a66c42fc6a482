"""Assess by the study's protocol (finding 6) how well memorization can be predicted from features.

In each of 100 trials all positives and three times as many negatives, drawn anew, are split, and 30 % of either class
are held out. The study's metrics are measured on the held-out sample. Its sampling hides how rare positives are, so
each trial also measures metrics over every example that it did not train on, weighted to the true prevalence.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pytest_kdmem.base.arrays import Flags, Values
from pytest_kdmem.risk.classifier import check_classes, draw_rows, fit_classifier, on_one_thread, sampling_offset

TRIALS = 100
HELD_OUT = 0.3
# Metrics of the trials that a predictor's file records.
TRIAL_METRICS = ("roc_auc", "precision", "recall", "pr_auc", "true_precision", "true_recall")


@dataclass(frozen=True)
class TrialStatistic:
    """Mean and sample standard deviation of a metric over all trials."""

    mean: float
    deviation: float

    @staticmethod
    def from_values(values: Sequence[float] | Values) -> TrialStatistic:
        """Summarize the values of single trials."""
        array = np.asarray(values, dtype=np.float64)
        return TrialStatistic(float(array.mean()), float(array.std(ddof=1)) if len(array) > 1 else 0.0)


@dataclass(frozen=True, eq=False)
class Assessment:
    """Results of the trials.

    Attributes:
        examples, positives: Number of examples, and of memorized examples.
        roc_auc: Area under the ROC curve on held-out samples of one positive to three negatives.
        precision, recall: On the same samples, where a prediction of even odds or more counts as positive.
        coefficients: Coefficients of the standardised features, by name.
        pr_auc: Average precision at the true prevalence; chance would give ``prevalence``.
        true_precision: Precision at the study's even odds, over every example not trained on, at the true prevalence.
        true_recall: Recall at odds that are even after the correction for the sampling.
        log_odds: Log-odds ``[examples]``, corrected for the sampling: the mean over the trials that did not train on
            the example, NaN if every trial did.
    """

    examples: int
    positives: int
    roc_auc: TrialStatistic
    precision: TrialStatistic
    recall: TrialStatistic
    coefficients: dict[str, TrialStatistic]
    pr_auc: TrialStatistic
    true_precision: TrialStatistic
    true_recall: TrialStatistic
    log_odds: Values

    @property
    def prevalence(self) -> float:
        """Share of the examples that are memorized."""
        return self.positives / self.examples

    @property
    def metrics(self) -> dict[str, TrialStatistic]:
        """Metrics of the trials by name."""
        return {name: getattr(self, name) for name in TRIAL_METRICS}


@on_one_thread
def run_trials(
    values: Values, labels: Flags, names: tuple[str, ...], source: str, *, trials: int = TRIALS, seed: int = 0
) -> Assessment:
    """Run the study's protocol.

    Args:
        values: Features, float64 ``[n, d]``.
        labels: Whether each example was memorized, bool ``[n]``.
        names: Names of the d features.
        source: Name of the model that gave the labels, for error messages.
        trials: Number of trials.
        seed: Seed of the draws of the first trial.

    Raises:
        DataError: There are too few examples of either class.
    """
    check_classes(labels, source)
    offset = sampling_offset(labels)
    metrics: dict[str, list[float]] = defaultdict(list)
    coefficients = []
    log_odds_sum, times_left_out = np.zeros(len(labels)), np.zeros(len(labels))
    for trial in range(trials):
        train, test = _train_and_test(labels, [seed, trial])
        classifier = fit_classifier(values[train], labels[train])
        coefficients.append(classifier.coefficients)
        log_odds = classifier.log_odds(values)
        not_trained_on = np.ones(len(labels), dtype=bool)
        not_trained_on[train] = False
        for name, value in _trial_metrics(labels, log_odds, test, not_trained_on, offset).items():
            metrics[name].append(value)
        log_odds_sum[not_trained_on] += log_odds[not_trained_on] + offset
        times_left_out[not_trained_on] += 1
    with np.errstate(invalid="ignore"):
        mean_log_odds = log_odds_sum / times_left_out
    by_feature = zip(names, np.array(coefficients).T, strict=True)
    return Assessment(
        examples=len(labels),
        positives=int(labels.sum()),
        coefficients={name: TrialStatistic.from_values(column) for name, column in by_feature},
        log_odds=mean_log_odds,
        **{name: TrialStatistic.from_values(metrics[name]) for name in TRIAL_METRICS},
    )


@on_one_thread
def shuffled_roc_auc(
    values: Values, labels: Flags, source: str, *, trials: int = TRIALS, seed: int = 0
) -> TrialStatistic:
    """Run the same trials with labels shuffled anew in each, and return ROC-AUC: 0.5 if no label leaks.

    Args are those of `run_trials`.
    """
    from sklearn.metrics import roc_auc_score

    check_classes(labels, source)
    roc_aucs = []
    for trial in range(trials):
        shuffled = np.random.default_rng([seed, trial, 3]).permutation(labels)
        train, test = _train_and_test(shuffled, [seed + trial, 0])
        classifier = fit_classifier(values[train], shuffled[train])
        roc_aucs.append(float(roc_auc_score(shuffled[test], classifier.log_odds(values[test]))))
    return TrialStatistic.from_values(roc_aucs)


def _train_and_test(labels: Flags, seed: Sequence[int]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Draw the rows of one trial, and split them into those that it trains on and those that it holds out."""
    from sklearn.model_selection import train_test_split

    rows = draw_rows(labels, np.random.default_rng(seed))
    train, test = train_test_split(rows, test_size=HELD_OUT, stratify=labels[rows], random_state=sum(seed))
    return train, test


def _trial_metrics(
    labels: Flags, log_odds: Values, test: npt.NDArray[np.intp], not_trained_on: Flags, offset: float
) -> dict[str, float]:
    """Return the metrics of one trial by name.

    Args:
        labels: Whether each example was memorized, bool ``[n]``.
        log_odds: Uncorrected log-odds ``[n]`` by the classifier of the trial.
        test: Rows of the held-out sample.
        not_trained_on: Which examples the classifier was not trained on, bool ``[n]``.
        offset: Correction of log-odds for the sampling.
    """
    from sklearn.metrics import average_precision_score, roc_auc_score

    test_labels, predicted = labels[test], log_odds[test] >= 0
    rest_labels, rest_log_odds = labels[not_trained_on], log_odds[not_trained_on]
    weights = _prevalence_weights(labels, rest_labels)
    return {
        "roc_auc": float(roc_auc_score(test_labels, log_odds[test])),
        "precision": _precision(test_labels, predicted, np.ones(len(test))),
        "recall": float(predicted[test_labels].mean()),
        "pr_auc": float(average_precision_score(rest_labels, rest_log_odds, sample_weight=weights)),
        "true_precision": _precision(rest_labels, rest_log_odds >= 0, weights),
        "true_recall": float((rest_log_odds[rest_labels] + offset >= 0).mean()),
    }


def _precision(labels: Flags, predicted: Flags, weights: Values) -> float:
    """Return the share of positives in the weight of what is predicted positive; 0 if nothing is."""
    weight = weights[predicted].sum()
    return float(weights[predicted & labels].sum() / weight) if weight else 0.0


def _prevalence_weights(labels: Flags, rest_labels: Flags) -> Values:
    """Return weights of the examples not trained on, with which each class has the weight it has among all."""
    class_weights = [(~labels).sum() / max(1, (~rest_labels).sum()), labels.sum() / rest_labels.sum()]
    return np.asarray(class_weights, dtype=np.float64)[rest_labels.astype(np.intp)]
