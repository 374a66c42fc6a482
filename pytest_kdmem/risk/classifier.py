"""Standardised logistic regression (study, finding 6), fitted to three negatives for each positive."""

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
# With fewer examples of either class, the 30 % that a trial holds out are fewer than three.
FEWEST_PER_CLASS = 10

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def on_one_thread(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Run a function with one BLAS and OpenMP thread: in fits this small, more of them wait for each other."""

    @wraps(function)
    def limited(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        from threadpoolctl import threadpool_limits

        with threadpool_limits(limits=1):
            return function(*args, **kwargs)

    return limited


@dataclass(frozen=True, eq=False)
class LinearClassifier:
    """A fitted classifier: log-odds = intercept + coefficients · (x − mean) / scale, with arrays of shape ``[d]``."""

    mean: Values
    scale: Values
    coefficients: Values
    intercept: float

    def log_odds(self, features: Values) -> Values:
        """Return the log-odds ``[n]`` of rows of features ``[n, d]``."""
        # A single product with rescaled weights avoids a standardised copy of a million rows.
        weights = self.coefficients / self.scale
        log_odds: Values = features @ weights + (self.intercept - float(self.mean @ weights))
        return log_odds


def check_classes(labels: Flags, source: str) -> None:
    """Check that there are enough examples of either class to learn from.

    Args:
        labels: Whether each example was memorized, bool ``[n]``.
        source: Name of the model that gave the labels, for the error message.

    Raises:
        DataError: There are too few examples of a class.
    """
    positives, negatives = int(labels.sum()), int((~labels).sum())
    if positives < FEWEST_PER_CLASS:
        raise DataError(
            f"At least {FEWEST_PER_CLASS} memorized examples are needed to learn what is at risk; found {positives} of"
            f" {count(len(labels))}, by {source}: label by a model that memorizes more (--labels-from STUDENT, such as"
            " an earlier student), set shorter --kdmem-prefix-tokens and --kdmem-suffix-tokens, or use a predictor"
            " fitted to other data (--predictor)."
        )
    if negatives < FEWEST_PER_CLASS:
        raise DataError(
            f"At least {FEWEST_PER_CLASS} examples that are not memorized are needed to learn what is at risk; found"
            f" {negatives} of {count(len(labels))}, by {source}: a classifier cannot be fitted to one class alone."
        )


def draw_rows(labels: Flags, rng: np.random.Generator) -> npt.NDArray[np.intp]:
    """Draw the rows of a training sample: all positives, then three times as many random negatives, or all."""
    positives, negatives = np.flatnonzero(labels), np.flatnonzero(~labels)
    size = min(NEGATIVES_PER_POSITIVE * len(positives), len(negatives))
    return np.concatenate([positives, rng.choice(negatives, size, replace=False)])


def sampling_offset(labels: Flags) -> float:
    """Return what corrects log-odds that were learned from `draw_rows` for the negatives that it left out.

    Leaving out negatives multiplies the odds by all / drawn and does not change the coefficients (King and Zeng 2001,
    “Logistic Regression in Rare Events Data”, prior correction).
    """
    positives, negatives = int(labels.sum()), int((~labels).sum())
    return math.log(min(NEGATIVES_PER_POSITIVE * positives, negatives) / negatives)


def fit_classifier(features: Values, labels: Flags) -> LinearClassifier:
    """Fit a classifier to features ``[n, d]`` and labels ``[n]`` of both classes."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(features)
    model = LogisticRegression(max_iter=1000).fit(scaler.transform(features), labels)
    return LinearClassifier(scaler.mean_, scaler.scale_, model.coef_[0], float(model.intercept_[0]))
