"""A measured value with confidence bounds, whose comparisons read the bound on the safe side."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from numbers import Number, Real
from typing import Any, ClassVar, Literal

from pytest_kdmem.base.text import count, percent
from pytest_kdmem.base.typed_json import to_json
from pytest_kdmem.errors import ComparisonError, SpecError
from pytest_kdmem.errors.harmless import quoted
from pytest_kdmem.metrics.direction import MIRRORED, Operator, protects, wrong_way_round
from pytest_kdmem.metrics.recorder import Recorded, is_audited, record, refused
from pytest_kdmem.metrics.verdict import Verdict
from pytest_kdmem.specs.reading_kinds import Stratify

Unit = Literal["proportion", "factor", "nats", "bits", "examples", "area", "tokens"]
SIGN: dict[Operator, str] = {"<=": "≤", "<": "<", ">=": "≥", ">": ">"}

# Metric of the gate on a training set. If it fails, the way out is to clean the set.
SHARE_AT_RISK = "share at risk"
WAY_OUT = "compare it: `<= threshold`"


class ComparesItself:
    """Base of right-hand sides that implement the comparison with an estimate themselves."""


@dataclass(frozen=True, eq=False)
class Estimate:
    """A measured value with one-sided confidence bounds.

    ``<=`` and ``<`` compare ``high``, ``>=`` and ``>`` compare ``low``, so a comparison is true only if the data
    show it. In an audit every comparison is a gate: it must hold, and in the direction that protects. To look at a
    figure without a gate, read ``value``, ``low`` and ``high``.

    Attributes:
        metric: Name of the measured quantity.
        subject: Role or name of the model or data set that was measured.
        value: Point estimate; NaN where it is undefined (0 of 0).
        low: Lower bound. Over a whole training set only ambiguous examples move it away from ``value``.
        high: Upper bound, which counts every ambiguous example against the model.
        k: Number of hits, or None if the value is not a proportion (a loss, a quotient of rates).
        n: Number of distinct examples measured.
        ambiguous: Number of examples whose verdict could differ with another kernel or batch size.
        exhaustive: Whether every example of the training set was measured.
        confidence: Confidence level of each one-sided bound.
        unit: Unit of ``value``, ``low`` and ``high``.
        too_short: Number of examples that were too short to be measured; nothing is known about them. Not in JSON if 0.
        too_short_copies: Greatest number of copies of one of those of a group, or of any group that a gate is over; 0
            if none stands several times, or it is unknown.
        part: Kind of the part of a training set that it measures, ``group`` or ``copies``; None for the whole set.
        part_name: Name of that part, with the column of a group; empty for the whole set, and in the first reports.
        parts: Number of the parts that one comparison measured at once. This is the worst of them, or one that does not
            hold; 0 if it was compared alone.
        set_name: Name of the set that it is over, ``control set``, if that is not a training set; any other set than
            the audit's own is named in the subject. Not in JSON if empty.
        model_digest: Digest of the model that was measured, by which an audit knows its own; not in JSON.
        not_shown: Verdict of a comparison that would hold, if something that the figure is about was not looked at;
            None if it was. Not in JSON.
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
    too_short: int = field(default=0, metadata={"json_default": "left out"})
    too_short_copies: int = field(default=0, metadata={"json_default": "left out"})
    part: Stratify | None = field(default=None, repr=False, metadata={"json_default": "left out"})
    part_name: str = field(default="", repr=False, metadata={"json_default": "left out"})
    parts: int = field(default=0, repr=False, metadata={"json_default": "left out"})
    set_name: str = field(default="", repr=False, metadata={"json_default": "left out"})
    model_digest: str = field(default="", repr=False, metadata={"json": None})
    not_shown: Verdict | None = field(default=None, repr=False, metadata={"json": None})

    # NumPy leaves comparisons with its numbers to this class, and refuses them for its arrays.
    __array_ufunc__: ClassVar[None] = None

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
            raise refused(ComparisonError(f"{self.metric} is an estimate and has no equal number; {WAY_OUT}."))
        return self is other

    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        raise refused(ComparisonError(f"{self.metric} is an estimate and neither true nor false; {WAY_OUT}."))

    def __copy__(self) -> Estimate:
        return self

    def __deepcopy__(self, memo: object) -> Estimate:
        return self

    def _compare(self, operator: Operator, threshold: Estimate | float) -> bool:
        """Compare with a number or another estimate, and record the comparison as a gate."""
        if isinstance(threshold, ComparesItself):
            return NotImplemented  # type: ignore[no-any-return]  # Python asks the other side then
        comparison = self.as_gate(operator, threshold)
        record(comparison)
        return comparison.holds

    def as_gate(self, operator: Operator, threshold: Estimate | float) -> Comparison:
        """Return the comparison with a number or another estimate, as a gate holds it, without recording it.

        Raises:
            ComparisonError: The other side is neither, or the direction of an audit's gate does not protect.
            SpecError: The comparison would show nothing.
        """
        if not isinstance(threshold, Estimate | Real) or isinstance(threshold, bool):
            kind = quoted(threshold) if isinstance(threshold, bool) else type(threshold).__name__
            raise refused(ComparisonError(f"{self.metric} compares with a number or another estimate; found {kind}."))
        if not isinstance(threshold, Estimate):
            threshold = float(threshold)
        if problem := self.mismatch(threshold):
            raise refused(SpecError(problem))
        other = threshold if isinstance(threshold, Estimate) else None
        if is_audited() and not protects(self, operator, other):
            raise refused(ComparisonError(wrong_way_round(self, operator, other)))
        return self.compare(operator, threshold)

    def compare(self, operator: Operator, threshold: Estimate | float) -> Comparison:
        """Return the comparison with a number or another estimate, without recording it."""
        return Comparison(self, operator, threshold, self.verdict_against(operator, threshold)).held_back()

    def verdict_against(self, operator: Operator, threshold: Estimate | float) -> Verdict | None:
        """Return the verdict of a comparison that needs more than the two sides; None if they alone decide."""
        return None

    def mismatch(self, threshold: Estimate | float) -> str:
        """Return why nothing would be shown by a comparison with a threshold, or an empty string."""
        if not isinstance(threshold, Estimate):
            is_bounded = self.unit in ("proportion", "area")
            if math.isnan(threshold) or (is_bounded and not 0 <= threshold <= 1):
                return f"A threshold of {self.metric} must lie between 0 and 1 (5% is 0.05); found {threshold:g}."
            return ""
        if (
            self.unit != threshold.unit
            or not isinstance(threshold, type(self))
            or not isinstance(self, type(threshold))
        ):
            return (
                f"Estimates of one kind and one unit were expected on both sides; found {self.metric} and"
                f" {threshold.metric}."
            )
        return ""

    @property
    def name(self) -> str:
        """What was measured of which model, and over which set, if that is not the audit's own training set."""
        return f"{self.metric} of {self.on_set(self.subject)}"

    def on_set(self, subject: str) -> str:
        """Return how sentences call a subject over the set of this estimate."""
        return f"{subject} on {self.set_name}" if self.set_name else subject

    def __str__(self) -> str:
        return self.describe(">=" if self.unit == "factor" else "<=")

    def describe(self, operator: Operator) -> str:
        """Return the value, the bound that a comparison by ``operator`` reads, and the counts as text."""
        return f"{self.format_value(self.value)}{self.unit_label}{self._bound_text(operator)} ({self.counts})"

    @property
    def unit_label(self) -> str:
        """The unit of values that `format_value` gives as bare numbers, to be written once behind them."""
        return " nats a token" if self.unit == "nats" and math.isfinite(self.value) else ""

    def bound_for(self, operator: Operator) -> float:
        """Return the bound that a comparison by ``operator`` reads."""
        return self.high if operator in ("<=", "<") else self.low

    def format_value(self, value: float) -> str:
        """Return a value as text in the unit of this estimate."""
        if math.isnan(value):
            return "undefined"
        if self.unit == "proportion":
            return percent(value)
        if math.isinf(value):
            return "infinite"
        if self.unit in ("examples", "area"):
            return f"{value:.1f}" if self.unit == "examples" else f"{value:.3f}"
        if self.unit == "bits":
            return f"{value:.2f} bits"
        if self.unit == "tokens":
            return f"{value:.0f} tokens"
        return f"{value:.2f} ×" if self.unit == "factor" else f"{value:.4f}"

    def _bound_text(self, operator: Operator) -> str:
        if math.isnan(self.value):
            return ""
        if self.low == self.high:
            return " [exact]" if self.k == 0 else ""
        return f" [{'≤' if operator in ('<=', '<') else '≥'} {self.format_value(self.bound_for(operator))}]"

    @property
    def short_copies_text(self) -> str:
        """Text on copies of what was too short to be measured; empty if nothing of it stands several times."""
        if not self.too_short_copies:
            return ""
        return f"one too short to look at stands {count(self.too_short_copies)} times"

    @property
    def counts(self) -> str:
        """How many examples of how many it counts, or over how many it is taken."""
        rows = "1 row" if self.too_short == 1 else f"{count(self.too_short)} rows"
        unseen = f"; {rows} too short to be measured" if self.too_short else ""
        if self.short_copies_text:
            unseen += f"; {self.short_copies_text}"
        if self.k is None:
            return f"{count(self.n)} example{'s' * (self.n != 1)}{unseen}"
        hits = count(self.k) + (f" + {self.ambiguous} ambiguous" if self.ambiguous else "")
        return f"{hits} of {count(self.n)}{unseen}"

    def to_json(self) -> dict[str, Any]:
        """Return the fields for JSON, which has no NaN (written as null) and no infinity (written as its name)."""
        content: dict[str, Any] = to_json(self)
        return content


@dataclass(frozen=True, eq=False)
class Comparison(Recorded):
    """A comparison of an estimate with a threshold, as a test made it.

    Attributes:
        estimate: Left-hand side.
        operator: Operator between the two sides.
        threshold: Right-hand side, a number or another estimate.
        verdict: Verdict that rests on more than the two sides, as on paired examples; None if they alone decide.
        further: Comparisons of the next parts of a training set that do not hold, if one comparison is of all parts.
        parts_not_held: Number of all parts that do not hold, this one included; 0 of a comparison without parts.
    """

    estimate: Estimate
    operator: Operator
    threshold: Estimate | float
    verdict: Verdict | None = None
    further: tuple[Comparison, ...] = ()
    parts_not_held: int = 0

    @property
    def holds(self) -> bool:
        """Whether the data show it."""
        if self.verdict is not None:
            return self.verdict.outcome == "pass"
        return satisfies(self.estimate, self.operator, self.threshold)

    def held_back(self) -> Comparison:
        """Return the comparison, which no longer holds if something that a side is about was not looked at.

        Of a part of a set of which nothing was looked at, that is the reason why nothing is known.
        """
        sides = [side for side in (self.estimate, self.threshold) if isinstance(side, Estimate)]
        not_shown = next((side.not_shown for side in sides if side.not_shown is not None), None)
        is_held_back = self.holds or (self.estimate.part is not None and not self.estimate.n)
        return replace(self, verdict=not_shown) if not_shown is not None and is_held_back else self


def satisfies(estimate: Estimate, operator: Operator, threshold: Estimate | float) -> bool:
    """Return whether the data show ``estimate operator threshold``; always False if either is undefined."""
    if math.isnan(estimate.value) or (isinstance(threshold, Estimate) and math.isnan(threshold.value)):
        return False
    bound = threshold.bound_for(MIRRORED[operator]) if isinstance(threshold, Estimate) else threshold
    match operator:
        case "<=":
            return estimate.high <= bound
        case "<":
            return estimate.high < bound
        case ">=":
            return estimate.low >= bound
        case ">":
            return estimate.low > bound
