"""The study's protocol (finding 6): how well memorization can be predicted, and what its sampling hides.

In each of 100 trials all positives and three times as many negatives, drawn anew, are split; 30 % are held out, as many
of either class as there are in the sample. Beside the study's figures over the held-out sample stand those over every
example that was not trained on, weighted so that positives are as rare as in the training set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pytest_kdmem.base.arrays import Flags, Values
from pytest_kdmem.risk.classifier import check_classes, drawn, fit, on_one_thread, sampling_offset
from pytest_kdmem.risk.predictor import FIGURES

TRIALS = 100
HELD_OUT = 0.3


@dataclass(frozen=True)
class TrialStatistic:
    """One figure over all trials."""

    mean: float
    deviation: float

    @staticmethod
    def of(values: Sequence[float] | Values) -> TrialStatistic:
        """Mean and sample standard deviation."""
        found = np.asarray(values, dtype=np.float64)
        return TrialStatistic(float(found.mean()), float(found.std(ddof=1)) if len(found) > 1 else 0.0)


@dataclass(frozen=True, eq=False)
class Assessment:
    """What the trials found.

    Attributes:
        examples, positives: that there are.
        roc_auc, precision, recall: over held-out samples of one positive to three negatives, at even odds.
        coefficients: of the standardised features, by name.
        pr_auc: average precision at the true prevalence; ``prevalence`` is what chance would give.
        true_precision: at the study's cut, over every example not trained on: what ``precision`` is in the wild.
        true_recall: of odds that are even once they are corrected for the sampling.
        log_odds: ``[examples]``, corrected for the sampling, mean over the trials that did not train on an example;
            NaN for one that every trial did.
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
        return self.positives / self.examples

    @property
    def figures(self) -> dict[str, TrialStatistic]:
        """Those over all trials, by name."""
        return {name: getattr(self, name) for name in FIGURES}


@on_one_thread
def assess(
    values: Values, labels: Flags, names: tuple[str, ...], source: str, *, trials: int = TRIALS, seed: int = 0
) -> Assessment:
    """Run the protocol on features ``[n, d]`` and labels ``[n]``; ``source`` is what messages call the labels.

    Raises:
        DataError: there are too few examples of either class.
    """
    from sklearn.metrics import average_precision_score, precision_score, recall_score, roc_auc_score
    from sklearn.model_selection import train_test_split

    check_classes(labels, source)
    offset = sampling_offset(labels)
    found: dict[str, list[float]] = {name: [] for name in FIGURES}
    coefficients = []
    total, times = np.zeros(len(labels)), np.zeros(len(labels))
    for trial in range(trials):
        rng = np.random.default_rng([seed, trial])
        rows = drawn(labels, rng)
        train, test = train_test_split(rows, test_size=HELD_OUT, stratify=labels[rows], random_state=seed + trial)
        model = fit(values[train], labels[train])
        coefficients.append(model.coefficients)
        odds = model.log_odds(values)
        said = odds[test] >= 0
        found["roc_auc"].append(float(roc_auc_score(labels[test], odds[test])))
        found["precision"].append(float(precision_score(labels[test], said, zero_division=0.0)))
        found["recall"].append(float(recall_score(labels[test], said)))
        rest = np.ones(len(labels), dtype=bool)
        rest[train] = False
        truth = labels[rest]
        weights = _prevalence_weights(labels, truth)
        found["pr_auc"].append(float(average_precision_score(truth, odds[rest], sample_weight=weights)))
        said = odds[rest] >= 0
        found["true_precision"].append(float(precision_score(truth, said, sample_weight=weights, zero_division=0.0)))
        found["true_recall"].append(float((odds[rest][truth] + offset >= 0).mean()))
        total[rest] += odds[rest] + offset
        times[rest] += 1
    with np.errstate(invalid="ignore"):
        mean = total / times
    return Assessment(
        examples=len(labels),
        positives=int(labels.sum()),
        coefficients={
            name: TrialStatistic.of(column) for name, column in zip(names, np.array(coefficients).T, strict=True)
        },
        log_odds=mean,
        **{name: TrialStatistic.of(values) for name, values in found.items()},
    )


def chance(
    values: Values, labels: Flags, names: tuple[str, ...], source: str, *, trials: int = TRIALS, seed: int = 0
) -> TrialStatistic:
    """ROC-AUC of the same trials where as many others are labelled in each, drawn anew: 0.5 if nothing leaks."""
    found = []
    for trial in range(trials):
        mixed = np.random.default_rng([seed, trial, 3]).permutation(labels)
        found.append(assess(values, mixed, names, source, trials=1, seed=seed + trial).roc_auc.mean)
    return TrialStatistic.of(found)


def _prevalence_weights(labels: Flags, kept: Flags) -> Values:
    """Weights of the examples not trained on, by which each class weighs what it does among all."""
    of_class = [(~labels).sum() / max(1, (~kept).sum()), labels.sum() / kept.sum()]
    return np.asarray(of_class, dtype=np.float64)[kept.astype(np.intp)]
