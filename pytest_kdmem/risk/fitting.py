"""Features and labels → a predictor that knows how good it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pytest_kdmem.base.arrays import Flags, Values
from pytest_kdmem.risk.calibration import Calibration, brier, calibrate, reliability
from pytest_kdmem.risk.classifier import Linear, drawn, fit, on_one_thread, sampling_offset
from pytest_kdmem.risk.features import Features
from pytest_kdmem.risk.labels import Labels
from pytest_kdmem.risk.predictor import Predictor
from pytest_kdmem.risk.trials import Assessment, assess

REFITS = 100
# Raised when the same features and labels give another predictor than before.
FITTING = 2


@dataclass(frozen=True, eq=False)
class Fitted:
    """A predictor, and the trials it was assessed by.

    ``brier`` is that of examples that were not trained on, and ``brier_of_chance`` that of one risk for all.
    """

    predictor: Predictor
    assessment: Assessment
    brier: float

    @property
    def brier_of_chance(self) -> float:
        return self.assessment.prevalence * (1 - self.assessment.prevalence)


@on_one_thread
def fit_predictor(features: Features, labels: Labels, *, seed: int = 0) -> Fitted:
    """Fit to all positives, a hundred times with negatives drawn anew, and assess it by the study's protocol.

    Log-odds are the mean over the refits, each of which draws its positives with replacement; calibrated on the trials'
    held-out examples, they are one more linear classifier.

    Raises:
        DataError: there are too few examples of either class.
    """
    values, memorized = features.values, labels.memorized
    assessment = assess(values, memorized, features.names, labels.source, seed=seed)
    known = np.isfinite(assessment.log_odds)
    held_out, outcome = assessment.log_odds[known], memorized[known]
    calibration = calibrate(held_out, outcome)
    spread = [calibrate(held_out, outcome, np.random.default_rng([seed, refit, 2])) for refit in range(REFITS)]
    models = [_refit(values, memorized, np.random.default_rng([seed, refit, 1])) for refit in range(REFITS)]
    offset, scaler = sampling_offset(memorized), models[0]
    plain = np.array([_on_scale(model, scaler, offset) for model in models])
    mean = _calibrated(plain.mean(axis=0), calibration)
    risks = calibration.risk(held_out)
    predictor = Predictor(
        features=features.names,
        mean=scaler.mean,
        scale=scaler.scale,
        coefficients=mean[1:],
        intercept=float(mean[0]),
        least=calibration.least,
        greatest=calibration.greatest,
        refits=np.array([_calibrated(one, own) for one, own in zip(plain, spread, strict=True)]),
        refit_bounds=np.array([one[2:] for one in spread]),
        lowest=values.min(axis=0),
        highest=values.max(axis=0),
        recall_log_odds=np.quantile(calibration.of(held_out[outcome]), np.linspace(0, 1, 101), method="lower"),
        examples=len(features),
        positives=assessment.positives,
        labels=labels.source,
        labels_digest=labels.digest,
        source=features.source,
        quality={name: (figure.mean, figure.deviation) for name, figure in assessment.figures.items()},
        reliability=reliability(risks, (own.risk(held_out) for own in spread), outcome, seed=seed),
    )
    return Fitted(predictor, assessment, brier(risks, outcome))


def _refit(values: Values, memorized: Flags, rng: np.random.Generator) -> Linear:
    """A fit to as many positives, drawn with replacement, and negatives drawn anew."""
    rows = drawn(memorized, rng)
    positives = int(memorized.sum())
    rows = np.concatenate([rng.choice(rows[:positives], positives), rows[positives:]])
    return fit(values[rows], memorized[rows])


def _on_scale(model: Linear, scaler: Linear, offset: float) -> Values:
    """Intercept and coefficients ``[1 + d]`` of a fit, in terms of another fit's standardisation."""
    weights = model.coefficients / model.scale
    intercept = model.intercept + offset + float((scaler.mean - model.mean) @ weights)
    return np.concatenate([[intercept], weights * scaler.scale])


def _calibrated(weights: Values, calibration: Calibration) -> Values:
    """Intercept and coefficients ``[1 + d]`` under a calibration."""
    moved: Values = calibration.slope * weights
    moved[0] += calibration.intercept
    return moved
