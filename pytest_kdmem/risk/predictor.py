"""A fitted predictor of risk: log-odds that are linear in features, with their uncertainty and range."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pytest_kdmem.base.arrays import Flags, Values
from pytest_kdmem.base.text import count, percent
from pytest_kdmem.errors import SpecError
from pytest_kdmem.risk.calibration import bounded_probability
from pytest_kdmem.risk.features import Features, FeatureSource
from pytest_kdmem.risk.reliability import Bin
from pytest_kdmem.specs.declared import Extraction

# If a larger share of the examples lies outside the range that a predictor was fitted to, it is not applied.
MOST_OUTSIDE = 0.05
BLOCK_ROWS = 1 << 16


@dataclass(frozen=True, eq=False)
class Predictor:
    """Log-odds of being memorized: linear in standardised features, calibrated, and corrected for sampled negatives.

    Attributes:
        features: Names of the d features.
        mean, scale: Standardisation of the features ``[d]``.
        coefficients: Coefficients ``[d]``: means over the refits.
        intercept: Intercept: mean over the refits.
        least, greatest: Limits of the risk, which is least + (greatest − least) · σ(log-odds).
        refits: Intercept and coefficients of each refit ``[refits, 1 + d]``; their spread is the uncertainty.
        refit_bounds: Least and greatest risk of each refit ``[refits, 2]``.
        lowest, highest: Range of each feature ``[d]`` among all examples that the predictor was fitted to.
        recall_log_odds: Log-odds ``[101]`` below which 0 %, 1 %, … 100 % of the held-out positives lie.
        examples, positives: Number of examples, and of memorized examples, that the predictor was fitted to.
        labels: Name of the model that memorized the positives.
        labels_digest: Digest of that model or of its scores.
        source: What the features were computed from.
        quality: Mean and standard deviation of each metric of the trials, by name.
        reliability: Predicted against observed shares of held-out examples; empty in files of early versions.
    """

    features: tuple[str, ...]
    mean: Values
    scale: Values
    coefficients: Values
    intercept: float
    least: float
    greatest: float
    refits: npt.NDArray[np.float64]
    refit_bounds: npt.NDArray[np.float64]
    lowest: Values
    highest: Values
    recall_log_odds: Values
    examples: int
    positives: int
    labels: str
    labels_digest: str
    source: FeatureSource
    quality: dict[str, tuple[float, float]]
    reliability: tuple[Bin, ...] = ()

    def log_odds(self, values: Values) -> Values:
        """Return the log-odds ``[n]`` of features ``[n, d]``."""
        blocks = [block @ self.coefficients + self.intercept for block in self._standardised(values)]
        return np.concatenate(blocks or [np.empty(0)])

    def risk(self, log_odds: Values) -> Values:
        """Return the risks of log-odds ``[n]``."""
        return bounded_probability(log_odds, self.least, self.greatest)

    def log_odds_for_risk(self, risk: float) -> float:
        """Return the log-odds of a risk; infinite at and beyond the least and the greatest risk."""
        share = (risk - self.least) / (self.greatest - self.least)
        return math.log(share / (1 - share)) if 0 < share < 1 else math.copysign(math.inf, share - 0.5)

    def refit_risks(self, values: Values) -> Iterator[npt.NDArray[np.float64]]:
        """Yield risks ``[rows, refits]`` by each refit for blocks of rows; all at once they would need much memory."""
        least, greatest = self.refit_bounds.T
        for block in self._standardised(values):
            yield bounded_probability(block @ self.refits[:, 1:].T + self.refits[:, 0], least, greatest)

    def _standardised(self, values: Values) -> Iterator[Values]:
        for start in range(0, len(values), BLOCK_ROWS):
            yield (values[start : start + BLOCK_ROWS] - self.mean) / self.scale

    def recall_at(self, log_odds: float) -> float:
        """Return the share of the held-out positives with these log-odds or more, rounded down to a percent."""
        percents_below = int(np.searchsorted(self.recall_log_odds, log_odds, side="left"))
        return max(0.0, 1 - percents_below / (len(self.recall_log_odds) - 1))

    def log_odds_for_recall(self, recall: float) -> float:
        """Return log-odds that at least this share of the held-out positives had."""
        # The percent is rounded down, so that no smaller share is found than asked for.
        return float(self.recall_log_odds[math.floor((1 - recall) * (len(self.recall_log_odds) - 1) + 1e-9)])

    def is_outside(self, values: Values) -> Flags:
        """Return which rows of features ``[n, d]`` lie outside the range that it was fitted to, bool ``[n]``."""
        return np.asarray(self._features_outside(values).any(axis=1), dtype=np.bool_)

    def _features_outside(self, values: Values) -> Flags:
        """Return which features lie outside their range, bool ``[n, d]``."""
        outside: Flags = (values < self.lowest) | (values > self.highest)
        return outside

    def check_lengths(self, extraction: Extraction) -> None:
        """Raise SpecError unless the predictor was fitted to these lengths."""
        if extraction != self.source.extraction:
            raise SpecError(
                f"A predictor of lengths {_lengths(extraction)} (prefix, suffix, window) was expected, and this"
                f" one was fitted to {_lengths(self.source.extraction)}; fit it anew, or set the same lengths."
            )

    def check_features(self, features: Features) -> tuple[str, ...]:
        """Check that the predictor can be applied to features, and return warnings where they differ from its own.

        Raises:
            SpecError: The lengths differ, or more than 5 % of the examples lie outside the range it was fitted to.
        """
        self.check_lengths(features.source.extraction)
        warnings = []
        outside = self._features_outside(features.values)
        if rows := int(outside.any(axis=1).sum()):
            feature = int(outside.sum(axis=0).argmax())
            low, high = self.lowest[feature], self.highest[feature]
            message = (
                f"{count(rows)} of {count(len(features))} examples of {features.training_set_name} lie outside what the"
                f" predictor was fitted to (most by {self.features[feature]}, which it saw from {low:.4g} to"
                f" {high:.4g})"
            )
            if rows > MOST_OUTSIDE * len(features):
                raise SpecError(f"{message}; at most {percent(MOST_OUTSIDE)} may: fit it to data of this kind.")
            warnings.append(f"{message}, and count as at risk")
        names = ("teacher", "baseline")
        differing = [name for name in names if getattr(features.source, name) != getattr(self.source, name)]
        differing += ["tokenizer"] * (not features.source.has_tokenizer_of(self.source))
        return (*warnings, *(f"the predictor was fitted with another {name}" for name in differing))


def _lengths(extraction: Extraction) -> str:
    """Return the lengths of prefix, suffix and window as text."""
    return f"{extraction.prefix_tokens}, {extraction.suffix_tokens}, {extraction.window_tokens}"
