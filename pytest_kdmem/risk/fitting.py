"""Fit a predictor to features and labels, together with its uncertainty and its assessment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pytest_kdmem.base.arrays import Flags, Values
from pytest_kdmem.risk.calibration import Calibration, calibrate
from pytest_kdmem.risk.classifier import LinearClassifier, draw_rows, fit_classifier, on_one_thread, sampling_offset
from pytest_kdmem.risk.features import Features
from pytest_kdmem.risk.labels import Labels
from pytest_kdmem.risk.predictor import Predictor
from pytest_kdmem.risk.reliability import brier_score, reliability_bins
from pytest_kdmem.risk.trials import TRIALS, Assessment, run_trials

REFITS = 100
# Raised when the same features and labels give another predictor than before, so that stored predictors are not used.
FITTING_VERSION = 2


@dataclass(frozen=True, eq=False)
class FittedPredictor:
    """A predictor and the trials that assess it.

    Attributes:
        predictor: The fitted predictor.
        assessment: Results of the trials on held-out examples.
        brier: Brier score of calibrated risks of examples that were not trained on.
    """

    predictor: Predictor
    assessment: Assessment
    brier: float

    @property
    def brier_of_chance(self) -> float:
        """Brier score if every example got the same risk, the prevalence."""
        return self.assessment.prevalence * (1 - self.assessment.prevalence)


@on_one_thread
def fit_predictor(features: Features, labels: Labels, *, seed: int = 0) -> FittedPredictor:
    """Fit a predictor and assess it by the study's protocol.

    Log-odds are the mean over 100 refits, each to positives drawn with replacement and negatives drawn anew. Calibrated
    on the held-out examples of the trials, they are again a linear classifier.

    Raises:
        DataError: There are too few examples of either class.
    """
    values, memorized = features.values, labels.memorized
    assessment = run_trials(values, memorized, features.names, labels.source, trials=TRIALS, seed=seed)
    was_held_out = np.isfinite(assessment.log_odds)
    held_out, outcomes = assessment.log_odds[was_held_out], memorized[was_held_out]
    calibration = calibrate(held_out, outcomes)
    calibrations = [calibrate(held_out, outcomes, np.random.default_rng([seed, refit, 2])) for refit in range(REFITS)]
    classifiers = [_refit(values, memorized, np.random.default_rng([seed, refit, 1])) for refit in range(REFITS)]
    scaler = classifiers[0]
    offset = sampling_offset(memorized)
    weights = np.array([_weights_on_scale(classifier, scaler, offset) for classifier in classifiers])
    mean_weights = _calibrated_weights(weights.mean(axis=0), calibration)
    refits = [_calibrated_weights(row, refit) for row, refit in zip(weights, calibrations, strict=True)]
    risks = calibration.risk(held_out)
    predictor = Predictor(
        features=features.names,
        mean=scaler.mean,
        scale=scaler.scale,
        coefficients=mean_weights[1:],
        intercept=float(mean_weights[0]),
        least=calibration.least,
        greatest=calibration.greatest,
        refits=np.array(refits),
        refit_bounds=np.array([(refit.least, refit.greatest) for refit in calibrations]),
        lowest=values.min(axis=0),
        highest=values.max(axis=0),
        recall_log_odds=np.quantile(calibration.rescale(held_out[outcomes]), np.linspace(0, 1, 101), method="lower"),
        examples=len(features),
        positives=assessment.positives,
        labels=labels.source,
        labels_digest=labels.digest,
        source=features.source,
        quality={name: (statistic.mean, statistic.deviation) for name, statistic in assessment.metrics.items()},
        reliability=reliability_bins(risks, (refit.risk(held_out) for refit in calibrations), outcomes, seed=seed),
    )
    return FittedPredictor(predictor, assessment, brier_score(risks, outcomes))


def _refit(values: Values, memorized: Flags, rng: np.random.Generator) -> LinearClassifier:
    """Fit to as many positives as there are, drawn with replacement, and negatives drawn anew."""
    rows = draw_rows(memorized, rng)
    positives = int(memorized.sum())
    rows = np.concatenate([rng.choice(rows[:positives], positives), rows[positives:]])
    return fit_classifier(values[rows], memorized[rows])


def _weights_on_scale(classifier: LinearClassifier, scaler: LinearClassifier, offset: float) -> Values:
    """Return intercept and coefficients ``[1 + d]`` of a classifier for features standardised as in ``scaler``."""
    weights = classifier.coefficients / classifier.scale
    intercept = classifier.intercept + offset + float((scaler.mean - classifier.mean) @ weights)
    return np.concatenate([[intercept], weights * scaler.scale])


def _calibrated_weights(weights: Values, calibration: Calibration) -> Values:
    """Return intercept and coefficients ``[1 + d]`` with the slope and intercept of a calibration applied."""
    calibrated: Values = calibration.slope * weights
    calibrated[0] += calibration.intercept
    return calibrated
