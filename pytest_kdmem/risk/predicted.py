"""Apply a predictor to features: the risk of each example, and what a future student is expected to memorize."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from pytest_kdmem.base.arrays import Flags, Values
from pytest_kdmem.errors import ComparisonError, SpecError
from pytest_kdmem.metrics.bounds import Counts, estimate_proportion
from pytest_kdmem.metrics.estimate import SHARE_AT_RISK, Estimate
from pytest_kdmem.risk.cutoff import Cutoff, threshold_and_recall
from pytest_kdmem.risk.features import Features
from pytest_kdmem.risk.predictor import Predictor
from pytest_kdmem.risk.predictor_file import predictor_digest
from pytest_kdmem.risk.reliability import draw_memorized_count


@dataclass(frozen=True, eq=False)
class PredictedRisk:
    """What a future student is predicted to memorize, from the scores of teacher and baseline and from the text.

    Attributes:
        features: Features of the n distinct examples that are long enough.
        predictor: The predictor that gave the risks.
        risks: Probability that a student memorizes the example, float64 ``[n]``.
        threshold: An example of this risk or more is at risk.
        recall: Share of the memorized examples that reach the threshold, by trials on held-out examples.
        share_at_risk: Share of the distinct examples that are at risk, with bounds over the refits of the predictor,
            and over the sample if only a sample was scored.
        expected_memorized: Expected number of memorized examples, with bounds over the refits and chance.
        warnings: Reasons why the predictor may not hold for these features, or these models not for the set.
        near_duplicates: Digests of the examples at risk that have a near-duplicate in the training set, if looked for.
        comparable_on: Digests and the requested threshold; two predictions are comparable only where these agree.
    """

    features: Features
    predictor: Predictor
    risks: Values
    threshold: float
    recall: float
    share_at_risk: Estimate
    expected_memorized: Estimate
    warnings: tuple[str, ...]
    near_duplicates: frozenset[str] = frozenset()
    comparable_on: Mapping[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        raise ComparisonError("A predicted risk is neither true nor false; compare its share_at_risk with a threshold.")

    def __repr__(self) -> str:
        return f"PredictedRisk({self.features.training_set_name}: {self.share_at_risk})"

    @property
    def at_risk(self) -> Flags:
        """Which examples are at risk, bool ``[n]``."""
        return self.risks >= self.threshold

    @property
    def examples(self) -> list[int]:
        """Positions in the training set of the examples at risk, each that of its first copy, highest risk first."""
        at_risk = np.flatnonzero(self.at_risk)
        order = at_risk[np.argsort(-self.risks[at_risk], kind="stable")]
        ids: list[int] = self.features.example_ids[order].tolist()
        return ids

    @property
    def duplicate_counts(self) -> tuple[int, int] | None:
        """Number of examples at risk with exact duplicates, and of the others with near-duplicates.

        None over a sample, which holds each example once.
        """
        if not self.features.exhaustive:
            return None
        copies = self.features.copies[self.at_risk]
        digests = self.features.digests.filter(pa.array(self.at_risk)).to_pylist()
        only_near = sum(
            copy == 1 and digest in self.near_duplicates for copy, digest in zip(copies, digests, strict=True)
        )
        return int((copies > 1).sum()), int(only_near)

    @property
    def predictor_digest(self) -> str:
        """Digest of the predictor's content."""
        return predictor_digest(self.predictor)

    def table(self) -> pa.Table:
        """Return a row for each distinct example: example_id, digest, copies, risk, at_risk, and features by name."""
        features = self.features
        columns = {
            "example_id": features.example_ids,
            "digest": features.digests,
            "copies": features.copies,
            "risk": self.risks,
            "at_risk": self.at_risk,
        }
        return pa.table(columns | dict(zip(features.names, features.values.T, strict=True)))


def apply_predictor(
    features: Features,
    predictor: Predictor,
    cutoff: Cutoff | None = None,
    *,
    confidence: float = 0.95,
    seed: int = 0,
) -> PredictedRisk:
    """Predict the risk of each example.

    Args:
        features: Features of the examples.
        predictor: The predictor to apply.
        cutoff: How the threshold is chosen; by default that which finds 95 % of the memorized examples.
        confidence: Confidence level of each one-sided bound.
        seed: Seed of the draws of how many examples will be memorized.

    Raises:
        SpecError: The predictor was fitted to other features or lengths, too many examples lie outside the range that
            it was fitted to, or fewer than half of the memorized examples reach the threshold.
    """
    cutoff = cutoff or Cutoff()
    warnings = predictor.check_features(features)
    threshold, recall = threshold_and_recall(predictor, cutoff)
    outside = predictor.is_outside(features.values)
    # Outside the range that it was fitted to, a predictor does not know that an example is safe, so it is at risk.
    predicted = predictor.risk(predictor.log_odds(features.values))
    risks = np.where(outside, np.maximum(predicted, threshold), predicted)
    refit_counts = _counts_over_refits(predictor, features.values, outside, threshold, np.random.default_rng(seed))
    if not (np.isfinite(risks).all() and np.isfinite(refit_counts.memorized).all()):
        raise SpecError(
            f"Finite risks were expected of every example of {features.training_set_name}, and the predictor gives"
            " none."
        )
    return PredictedRisk(
        features,
        predictor,
        risks,
        threshold,
        recall,
        _share_at_risk(features, risks, threshold, refit_counts, confidence),
        _expected_memorized(features, risks, refit_counts, confidence),
        warnings,
    )


@dataclass(frozen=True, eq=False)
class _RefitCounts:
    """Numbers of examples by each refit of a predictor, float64 ``[refits]``.

    Attributes:
        at_risk: Number of examples at risk.
        memorized: Number of examples memorized in one random draw; NaN if a risk is not finite.
    """

    at_risk: Values
    memorized: Values


def _counts_over_refits(
    predictor: Predictor, values: Values, outside: Flags, threshold: float, rng: np.random.Generator
) -> _RefitCounts:
    """Count over the refits of a predictor; ``outside`` are the rows ``[n]`` that are at risk whatever their risk."""
    at_risk = np.zeros(len(predictor.refits))
    memorized = np.zeros(len(predictor.refits))
    start = 0
    for block in predictor.refit_risks(values):
        is_outside = outside[start : start + len(block), None]
        start += len(block)
        at_risk += ((block >= threshold) | is_outside).sum(axis=0)
        is_finite = np.isfinite(block).all()
        memorized += [draw_memorized_count(risks, rng) for risks in block.T] if is_finite else math.nan
    return _RefitCounts(at_risk, memorized)


def _share_at_risk(
    features: Features, risks: Values, threshold: float, refit_counts: _RefitCounts, confidence: float
) -> Estimate:
    n, k = len(features), int((risks >= threshold).sum())
    tails = (1 - confidence, confidence)
    fewest, most = (int(bound) for bound in np.quantile(refit_counts.at_risk, tails, method="inverted_cdf"))
    share = estimate_proportion(
        SHARE_AT_RISK,
        features.training_set_name,
        Counts(k, n, min(k, fewest), max(k, most)),
        exhaustive=features.exhaustive,
        confidence=confidence,
    )
    return replace(share, too_short=features.too_short.rows)


def _expected_memorized(features: Features, risks: Values, refit_counts: _RefitCounts, confidence: float) -> Estimate:
    tails = (1 - confidence, confidence)
    low, high = (float(bound) for bound in np.quantile(refit_counts.memorized, tails, method="inverted_cdf"))
    expected = float(risks.sum())
    return Estimate(
        "expected memorized examples",
        features.training_set_name,
        expected,
        min(low, expected),
        max(high, expected),
        None,
        len(features),
        exhaustive=features.exhaustive,
        confidence=confidence,
        unit="examples",
        too_short=features.too_short.rows,
    )
