"""Estimate: a figure that knows how sure it is, and compares accordingly."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Number
from typing import Any, Literal

import numpy as np

from pytest_kdmem.base.text import count, percent
from pytest_kdmem.base.typed_json import to_json
from pytest_kdmem.errors import ComparisonError, SpecError

Unit = Literal["proportion", "factor", "nats", "examples"]
Operator = Literal["<=", "<", ">=", ">"]
MIRRORED: dict[str, Operator] = {"<=": ">=", "<": ">", ">=": "<=", ">": "<"}
COMPLEMENT: dict[str, Operator] = {"<=": ">", "<": ">=", ">=": "<", ">": "<="}
SIGN: dict[Operator, str] = {"<=": "≤", "<": "<", ">=": "≥", ">": ">"}

Comparison = tuple["Estimate", Operator, "Estimate | float"]
# What the gate of a training set is held over: its way out is to clean the set.
SHARE_AT_RISK = "share at risk"
# Metrics of which more is better; of all others, less.
BETTER_ABOVE = ("reduction",)
_gathered: list[Comparison] | None = None


def record_comparisons(into: list[Comparison] | None) -> list[Comparison] | None:
    """Have comparisons appended to a list from now on, in any thread; the list to which they were until now.

    While a test of an audit runs these become the gates of the report.
    """
    global _gathered
    before, _gathered = _gathered, into
    return before


def record(comparison: Comparison) -> None:
    """Append a comparison where they are gathered."""
    if _gathered is not None:
        _gathered.append(comparison)


@dataclass(frozen=True, eq=False)
class Estimate:
    """A figure with one-sided bounds, each at ``confidence``.

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

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Number):
            raise ComparisonError(f"{self.metric} is an estimate and equals no number; compare it: `<= threshold`.")
        return self is other

    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        raise ComparisonError(f"{self.metric} is an estimate and neither true nor false; compare it: `<= threshold`.")

    def _compare(self, operator: Operator, other: Estimate | float) -> bool:
        if isinstance(other, bool):
            raise ComparisonError(f"{self.metric} compares with a number or another estimate; found {other!r}.")
        if not isinstance(other, Estimate | int | float | np.number):
            return NotImplemented  # what was accepted knows how to be compared with; all else is a TypeError
        if not isinstance(other, Estimate):
            other = float(other)
            if math.isnan(other) or (self.unit == "proportion" and not 0 <= other <= 1):
                raise SpecError(f"A threshold of {self.metric} must lie between 0 and 1 (5% is 0.05); found {other:g}.")
        record((self, operator, other))
        return satisfies(self, operator, other)

    def __str__(self) -> str:
        return self.text(">=" if self.unit == "factor" else "<=")

    def text(self, operator: Operator) -> str:
        """Value, the bound that a comparison by ``operator`` reads, and counts."""
        return f"{self.figure(self.value)}{self._bound_text(operator)}{self._count_text()}"

    def bound_for(self, operator: Operator) -> float:
        """The bound that a comparison by ``operator`` reads."""
        return self.high if operator in ("<=", "<") else self.low

    def figure(self, value: float) -> str:
        """A value in the estimate's unit."""
        if math.isnan(value):
            return "undefined"
        if self.unit == "proportion":
            return percent(value)
        if math.isinf(value):
            return "infinite"
        if self.unit == "examples":
            return f"{value:.1f}"
        return f"{value:.2f} ×" if self.unit == "factor" else f"{value:.4f}"

    def _bound_text(self, operator: Operator) -> str:
        if math.isnan(self.value):
            return ""
        if self.low == self.high:
            return " [exact]" if self.k == 0 else ""
        return f" [{'≤' if operator in ('<=', '<') else '≥'} {self.figure(self.bound_for(operator))}]"

    def _count_text(self) -> str:
        if self.k is None:
            return f" ({count(self.n)} examples)"
        hits = count(self.k) + (f" + {self.ambiguous} ambiguous" if self.ambiguous else "")
        return f" ({hits} of {count(self.n)})"

    def to_json(self) -> dict[str, Any]:
        """Every field; NaN becomes None and an infinity its name, as JSON has no number for them."""
        content: dict[str, Any] = to_json(self)
        return content


def undecided(estimate: Estimate, operator: Operator, other: Estimate | float) -> bool:
    """Whether the data show neither the comparison nor its opposite; negating it would pass for nothing."""
    return not satisfies(estimate, operator, other) and not satisfies(estimate, COMPLEMENT[operator], other)


def satisfies(estimate: Estimate, operator: Operator, other: Estimate | float) -> bool:
    """Whether the data show ``estimate operator other``; never for an undefined figure."""
    if math.isnan(estimate.value) or (isinstance(other, Estimate) and math.isnan(other.value)):
        return False
    limit = other.bound_for(MIRRORED[operator]) if isinstance(other, Estimate) else other
    match operator:
        case "<=":
            return estimate.high <= limit
        case "<":
            return estimate.high < limit
        case ">=":
            return estimate.low >= limit
        case ">":
            return estimate.low > limit
