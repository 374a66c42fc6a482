"""Standardised logistic regression (study, finding 6), fitted to a sample of three negatives for each positive."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import ParamSpec, TypeVar

import numpy as np
import numpy.typing as npt

from pytest_kdmem.base.arrays import Flags, Values
from pytest_kdmem.base.text import count
from pytest_kdmem.errors import DataError

NEGATIVES_PER_POSITIVE = 3
# To hold out 30 % and still have three to judge by.
FEWEST_POSITIVES = 10


Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def on_one_thread(call: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """The same on one thread of BLAS and OpenMP: in fits this small, several wait for each other on a busy machine."""

    @wraps(call)
    def limited(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        from threadpoolctl import threadpool_limits

        with threadpool_limits(limits=1):
            return call(*args, **kwargs)

    return limited


@dataclass(frozen=True, eq=False)
class Linear:
    """A fitted classifier: log-odds = intercept + coefficients · (x − mean) / scale, arrays ``[d]``."""

    mean: Values
    scale: Values
    coefficients: Values
    intercept: float

    def log_odds(self, values: Values) -> Values:
        """Of rows ``[n, d]``, ``[n]``."""
        # Folded into one product, so that a million rows are not copied to be standardised.
        weights = self.coefficients / self.scale
        found: Values = values @ weights + (self.intercept - float(self.mean @ weights))
        return found


def check_classes(labels: Flags, source: str) -> None:
    """Raise DataError where there is too little of either class to learn from."""
    positives, negatives = int(labels.sum()), int((~labels).sum())
    if positives < FEWEST_POSITIVES:
        raise DataError(
            f"At least {FEWEST_POSITIVES} memorized examples are needed to learn what is at risk; found {positives} of"
            f" {count(len(labels))}, by {source}: label from a model that memorizes more (--labels-from), or use a"
            " predictor fitted elsewhere (--predictor)."
        )
    if negatives < FEWEST_POSITIVES:
        raise DataError(
            f"At least {FEWEST_POSITIVES} examples that are not memorized are needed to learn what is at risk; found"
            f" {negatives} of {count(len(labels))}, by {source}: with one class only there is nothing to tell apart."
        )


def drawn(labels: Flags, rng: np.random.Generator) -> npt.NDArray[np.intp]:
    """Rows of all positives and of three times as many negatives, or of all there are, drawn anew at each call."""
    positives, negatives = np.flatnonzero(labels), np.flatnonzero(~labels)
    size = min(NEGATIVES_PER_POSITIVE * len(positives), len(negatives))
    return np.concatenate([positives, rng.choice(negatives, size, replace=False)])


def sampling_offset(labels: Flags) -> float:
    """What is added to log-odds learned from `drawn` rows, so that they hold where negatives are as many as they are.

    Leaving out negatives multiplies the odds by all / drawn and leaves the coefficients as they are (King and Zeng
    2001, “Logistic Regression in Rare Events Data”, prior correction).
    """
    positives, negatives = int(labels.sum()), int((~labels).sum())
    return math.log(min(NEGATIVES_PER_POSITIVE * positives, negatives) / negatives)


def fit(values: Values, labels: Flags) -> Linear:
    """Fit to rows ``[n, d]`` with labels ``[n]`` of both classes."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(values)
    model = LogisticRegression(max_iter=1000).fit(scaler.transform(values), labels)
    return Linear(scaler.mean_, scaler.scale_, model.coef_[0], float(model.intercept_[0]))
