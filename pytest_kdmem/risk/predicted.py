"""Predictor × features → PredictedRisk: what a student to come is likely to memorize, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from pytest_kdmem.base.arrays import Flags, Values
from pytest_kdmem.base.text import percent
from pytest_kdmem.errors import ComparisonError, SpecError
from pytest_kdmem.metrics.bounds import Counts, estimate_proportion
from pytest_kdmem.metrics.estimate import SHARE_AT_RISK, Estimate
from pytest_kdmem.risk.calibration import counts_to_come
from pytest_kdmem.risk.features import Features
from pytest_kdmem.risk.predictor import Predictor, predictor_digest

# Where no threshold is set: at or above it lie 95 % of what trials on held-out examples found to be memorized. A
# predictor that can tell nothing apart has such a threshold, too, above which nearly everything lies.
RECALL = 0.95
# A threshold that more of the memorized lie below than above gates nothing.
LEAST_RECALL = 0.5


@dataclass(frozen=True, eq=False)
class PredictedRisk:
    """What teacher, baseline and text tell, before distilling, of what a student will memorize.

    Attributes:
        features: of the n distinct examples that are long enough.
        predictor: that gave the risks, and ``warnings`` of where it may not hold.
        risks: float64 ``[n]``, probabilities.
        threshold: an example of this risk or more is at risk.
        recall: share of what is memorized that lies at or above the threshold, by trials on held-out examples.
        share_at_risk: examples at risk of all distinct ones; bounds over the refits of the predictor, and over the
            sample where there is one.
        expected_memorized: how many of the n will be memorized; bounds of the number to come, over refits and chance.
        near_duplicates: digests of examples at risk that are nearly another one, as far as that was looked for.
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
        return f"PredictedRisk({self.features.name}: {self.share_at_risk})"

    @property
    def at_risk(self) -> Flags:
        """Bool ``[n]``."""
        return self.risks >= self.threshold

    @property
    def examples(self) -> list[int]:
        """Positions in the training set of the examples at risk, each at its first copy, highest risk first."""
        at_risk = np.flatnonzero(self.at_risk)
        order = at_risk[np.argsort(-self.risks[at_risk], kind="stable")]
        ids: list[int] = self.features.example_ids[order].tolist()
        return ids

    @property
    def repeated(self) -> tuple[int, int] | None:
        """Of the examples at risk, how many have exact duplicates, and how many of the others a near-duplicate.

        None over a sample, which holds each example once.
        """
        if not self.features.exhaustive:
            return None
        copies = self.features.copies[self.at_risk]
        digests = self.features.digests.filter(pa.array(self.at_risk)).to_pylist()
        near = sum(copy == 1 and name in self.near_duplicates for copy, name in zip(copies, digests, strict=True))
        return int((copies > 1).sum()), int(near)

    @property
    def digest(self) -> str:
        """Of the predictor's figures."""
        return predictor_digest(self.predictor)

    def table(self) -> pa.Table:
        """A row per distinct example: example_id, digest, copies, risk, at_risk, and the features by name."""
        features = self.features
        columns = {
            "example_id": features.example_ids,
            "digest": features.digests,
            "copies": features.copies,
            "risk": self.risks,
            "at_risk": self.at_risk,
        }
        return pa.table(columns | dict(zip(features.names, features.values.T, strict=True)))


def check_threshold(threshold: float | None) -> None:
    """Raise SpecError for what is no probability between 0 and 1."""
    if threshold is not None and (not isinstance(threshold, int | float) or not 0 < threshold < 1):
        raise SpecError(f"A risk threshold must lie between 0 and 1, and be neither; found {threshold!r}.")


def predict(
    features: Features,
    predictor: Predictor,
    *,
    threshold: float | None = None,
    recall: float = RECALL,
    confidence: float = 0.95,
    seed: int = 0,
) -> PredictedRisk:
    """Apply a predictor.

    Args:
        threshold: probability at or above which an example is at risk; if None, that which finds ``recall`` of what
            is memorized.
        confidence: of each bound.

    Raises:
        SpecError: the predictor was fitted to other features or lengths, or most of the examples lie outside what it
            saw, or it finds less than half of what is memorized at this threshold.
    """
    warnings = predictor.check(features)
    log_odds = predictor.log_odds(features.values)
    check_threshold(threshold)
    cut = predictor.finding(recall) if threshold is None else predictor.log_odds_of(threshold)
    found = predictor.recall_at(cut)
    if threshold is not None and found < LEAST_RECALL:
        best = float(predictor.risk(np.array(predictor.finding(RECALL))))
        raise SpecError(
            f"A risk threshold that finds at least {percent(LEAST_RECALL)} of what is memorized was expected, and"
            f" {threshold:g} finds {percent(found)} in trials on held-out examples ({best:.2g} finds"
            f" {percent(RECALL)}): set a lower --kdmem-risk-threshold, or none."
        )
    risks, outside = predictor.risk(log_odds), predictor.outside(features.values)
    at_or_above = threshold if threshold is not None else float(predictor.risk(np.array(cut)))
    # Where the predictor saw nothing alike its word is none, and what is not known to be safe is not.
    risks = np.where(outside, np.maximum(risks, at_or_above), risks)
    n, k = len(features), int((risks >= at_or_above).sum())
    at_risk, to_come = _over_refits(predictor, features.values, outside, at_or_above, np.random.default_rng(seed))
    if not (np.isfinite(risks).all() and np.isfinite(to_come).all()):
        raise SpecError(
            f"Finite risks were expected of every example of {features.name}, and the predictor gives none."
        )
    tails = (1 - confidence, confidence)
    fewest, most = (int(one) for one in np.quantile(at_risk, tails, method="inverted_cdf"))
    low, high = (float(one) for one in np.quantile(to_come, tails, method="inverted_cdf"))
    share = estimate_proportion(
        SHARE_AT_RISK,
        features.name,
        Counts(k, n, min(k, fewest), max(k, most)),
        exhaustive=features.exhaustive,
        confidence=confidence,
    )
    expected = Estimate(
        "expected memorized examples",
        features.name,
        float(risks.sum()),
        low,
        high,
        None,
        n,
        exhaustive=features.exhaustive,
        confidence=confidence,
        unit="examples",
    )
    expected = replace(expected, low=min(low, expected.value), high=max(high, expected.value))
    return PredictedRisk(features, predictor, risks, at_or_above, found, share, expected, warnings)


def _over_refits(
    predictor: Predictor, values: Values, outside: Flags, threshold: float, rng: np.random.Generator
) -> tuple[Values, Values]:
    """``[refits]`` each: examples at risk, and how many come to be memorized in one draw; NaN if a risk is none."""
    at_risk = np.zeros(len(predictor.refits))
    to_come = np.zeros(len(predictor.refits))
    start = 0
    for block in predictor.refit_risks(values):
        beyond = outside[start : start + len(block), None]
        start += len(block)
        at_risk += ((block >= threshold) | beyond).sum(axis=0)
        finite = np.isfinite(block).all()
        to_come += [counts_to_come(risks, rng) for risks in block.T] if finite else math.nan
    return at_risk, to_come
