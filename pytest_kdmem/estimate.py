"""Estimates: figures that know how sure they are, and the tests between two of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from scipy.stats import binomtest, multinomial

Unit = Literal["proportion", "factor", "nats"]
Operator = Literal["<=", "<", ">=", ">"]
SIGN: dict[Operator, str] = {"<=": "≤", "<": "<", ">=": "≥", ">": ">"}
# Fewer hits than this and a bootstrap of them is too narrow to trust.
FEWEST_FOR_BOOTSTRAP = 10
RESAMPLES = 9999

Comparison = tuple["Estimate", Operator, "Estimate | float"]
# While an audit runs, its comparisons are gathered here and become the gates of the report.
comparisons: ContextVar[list[Comparison] | None] = ContextVar("comparisons", default=None)


@dataclass(frozen=True, eq=False)
class Estimate:
    """A figure with one-sided bounds, each at ``confidence`` (DESIGN §4).

    ``<=`` and ``<`` compare ``high``, ``>=`` and ``>`` compare ``low``: a comparison holds only when the data show it.

    Attributes:
        metric: what it is, as a person would say it.
        subject: whose it is: a role or a model's name.
        value: the point estimate; NaN where it is undefined (0 of 0).
        low: lower bound; over a whole training set only ambiguous examples move it.
        high: upper bound, counting every ambiguous example against the model.
        k: hits, None where the figure is no count (a loss, a quotient of rates).
        n: distinct examples it is taken over.
        ambiguous: of them, those that another kernel or batch size could turn.
        exhaustive: whether every example of the training set was looked at.
        confidence: of each bound.
        unit: how it is printed.
    """

    metric: str
    subject: str
    value: float
    low: float
    high: float
    k: int | None
    n: int
    ambiguous: int = 0
    exhaustive: bool = False
    confidence: float = 0.95
    unit: Unit = "proportion"

    def __le__(self, other: Estimate | float) -> bool:
        return self._compare("<=", other)

    def __lt__(self, other: Estimate | float) -> bool:
        return self._compare("<", other)

    def __ge__(self, other: Estimate | float) -> bool:
        return self._compare(">=", other)

    def __gt__(self, other: Estimate | float) -> bool:
        return self._compare(">", other)

    def __bool__(self) -> bool:
        raise TypeError(f"{self.metric} is an estimate and neither true nor false; compare it: `<= threshold`.")

    def _compare(self, operator: Operator, other: Estimate | float) -> bool:
        if isinstance(other, bool) or not isinstance(other, Estimate | int | float | np.number):
            raise TypeError(f"{self.metric} compares with a number or another estimate; found {other!r}.")
        gathered = comparisons.get()
        if gathered is not None:
            gathered.append((self, operator, other))
        return holds(self, operator, other)

    def __str__(self) -> str:
        return f"{self.figure(self.value)}{self._bound_text()}{self._count_text()}"

    def figure(self, value: float) -> str:
        """A value in the estimate's unit."""
        if math.isnan(value):
            return "undefined"
        if self.unit == "proportion":
            return percent(value)
        if math.isinf(value):
            return "infinite"
        return f"{value:.2f} ×" if self.unit == "factor" else f"{value:.4f}"

    def _bound_text(self) -> str:
        if math.isnan(self.value):
            return ""
        if self.low == self.high:
            return " [exact]" if self.k == 0 else ""
        return f" [≥ {self.figure(self.low)}]" if self.unit == "factor" else f" [≤ {self.figure(self.high)}]"

    def _count_text(self) -> str:
        if self.k is None:
            return f" ({count(self.n)} examples)"
        hits = count(self.k) + (f" + {self.ambiguous} ambiguous" if self.ambiguous else "")
        return f" ({hits} of {count(self.n)})"

    def to_json(self) -> dict[str, Any]:
        """Every field; figures that JSON has no number for (NaN, infinity) become None."""
        return {key: _finite(value) for key, value in asdict(self).items()}


def holds(estimate: Estimate, operator: Operator, other: Estimate | float) -> bool:
    """Whether the data show ``estimate operator other``; never for an undefined figure."""
    if math.isnan(estimate.value):
        return False
    match operator:
        case "<=":
            return estimate.high <= (other.low if isinstance(other, Estimate) else other)
        case "<":
            return estimate.high < (other.low if isinstance(other, Estimate) else other)
        case ">=":
            return estimate.low >= (other.high if isinstance(other, Estimate) else other)
        case ">":
            return estimate.low > (other.high if isinstance(other, Estimate) else other)


def proportion(
    metric: str,
    subject: str,
    *,
    k: int,
    n: int,
    fewest: int | None = None,
    most: int | None = None,
    ambiguous: int = 0,
    exhaustive: bool,
    confidence: float = 0.95,
) -> Estimate:
    """k of n, with Clopper–Pearson bounds over a sample and exact ones over everything.

    Args:
        fewest: hits if every ambiguous example were a miss; ``k`` if None.
        most: hits if every ambiguous example were one; ``k`` if None.
    """
    low_k, high_k = k if fewest is None else fewest, k if most is None else most
    if n == 0:
        value, low, high = math.nan, 0.0, 1.0
    elif exhaustive:
        value, low, high = k / n, low_k / n, high_k / n
    else:
        value = k / n
        low, high = lower_bound(low_k, n, confidence), upper_bound(high_k, n, confidence)
    return Estimate(metric, subject, value, low, high, k, n, ambiguous, exhaustive, confidence)


def lower_bound(k: int, n: int, confidence: float) -> float:
    """One-sided Clopper–Pearson lower bound of a proportion."""
    return float(binomtest(k, n, alternative="greater").proportion_ci(confidence, "exact").low)


def upper_bound(k: int, n: int, confidence: float) -> float:
    """One-sided Clopper–Pearson upper bound of a proportion."""
    return float(binomtest(k, n, alternative="less").proportion_ci(confidence, "exact").high)


def quotient(
    metric: str,
    subject: str,
    *,
    both: int,
    only_first: int,
    only_second: int,
    n: int,
    fewest: tuple[int, int],
    most: tuple[int, int],
    ambiguous: int = 0,
    exhaustive: bool,
    confidence: float = 0.95,
) -> Estimate:
    """Quotient of two rates over the same n examples: first / second.

    Over a sample the bounds come from a bootstrap of the paired table; where either count is small, from the quotient
    of two Clopper–Pearson bounds that hold together at ``confidence``.

    Args:
        fewest: (first, second) counts that make the quotient least, as ambiguous examples allow.
        most: those that make it greatest.
    """
    first, second = both + only_first, both + only_second
    value = _divide(first, second)
    low, high = _divide(*fewest), _divide(*most)
    if not exhaustive and n:
        if min(first, second) >= FEWEST_FOR_BOOTSTRAP:
            table = np.array([both, only_first, only_second, n - both - only_first - only_second]) / n
            drawn = multinomial.rvs(n, table, size=RESAMPLES, random_state=np.random.default_rng(0))
            quotients = (drawn[:, 0] + drawn[:, 1]) / np.maximum(drawn[:, 0] + drawn[:, 2], 1e-12)
            low = min(low, float(np.quantile(quotients, 1 - confidence)))
            high = max(high, float(np.quantile(quotients, confidence)))
        else:
            each = 1 - (1 - confidence) / 2
            low = _divide(lower_bound(fewest[0], n, each), upper_bound(fewest[1], n, each))
            high = _divide(upper_bound(most[0], n, each), lower_bound(most[1], n, each))
    return Estimate(metric, subject, value, low, high, None, n, ambiguous, exhaustive, confidence, "factor")


def mean(metric: str, subject: str, values: np.ndarray, *, exhaustive: bool, confidence: float = 0.95) -> Estimate:
    """Mean of a loss in nats, with Student's t bounds over a sample."""
    from scipy.stats import t

    n = len(values)
    value = float(np.mean(values, dtype=np.float64)) if n else math.nan
    margin = 0.0
    if not exhaustive:
        margin = float(t.ppf(confidence, n - 1) * np.std(values, ddof=1) / math.sqrt(n)) if n > 1 else math.inf
    return Estimate(metric, subject, value, value - margin, value + margin, None, n, 0, exhaustive, confidence, "nats")


def mcnemar(only_first: int, only_second: int) -> float:
    """Two-sided exact McNemar p-value of two models over the same examples, from the pairs on which they differ."""
    differing = only_first + only_second
    return float(binomtest(only_first, differing).pvalue) if differing else 1.0


def estimate_from_json(content: Mapping[str, Any]) -> Estimate:
    """The estimate that `Estimate.to_json` wrote."""
    values = dict(content)
    for key, missing in (("value", math.nan), ("low", -math.inf), ("high", math.inf)):
        values[key] = missing if values[key] is None else float(values[key])
    return Estimate(**values)


def percent(value: float) -> str:
    """A proportion in per cent: two decimals, more where the first two would be zeros."""
    shown = 100 * value
    if shown == 0 or abs(shown) >= 0.095:
        return f"{shown:.2f}%"
    return f"{shown:.{1 - math.floor(math.log10(abs(shown)))}f}%"


def count(number: int) -> str:
    """A whole number in groups of three: 1 000 000."""
    return f"{number:,}".replace(",", " ")


def _divide(numerator: float, denominator: float) -> float:
    if denominator == 0:
        return math.nan if numerator == 0 else math.inf
    return numerator / denominator


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
