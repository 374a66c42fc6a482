"""Comparisons of an estimate read the bound on the safe side, and its text always shows how sure it is."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_kdmem.base.typed_json import from_json
from pytest_kdmem.errors import SpecError
from pytest_kdmem.metrics.bounds import Counts, estimate_proportion
from pytest_kdmem.metrics.direction import Operator
from pytest_kdmem.metrics.estimate import Estimate, satisfies

OPERATORS: tuple[Operator, ...] = ("<=", "<", ">=", ">")


def rate(k: int, n: int, *, exhaustive: bool = False, **ambiguity: int) -> Estimate:
    counts = Counts(k, n, **ambiguity)
    return estimate_proportion("memorization rate", "student", counts, exhaustive=exhaustive)


def factor(value: float) -> Estimate:
    return Estimate("reduction", "student", value, value, value, None, 10, exhaustive=True, unit="factor")


def test_at_most_reads_the_upper_bound_and_at_least_the_lower() -> None:
    estimate = rate(19, 1000)
    middle_of_upper = (estimate.value + estimate.high) / 2
    middle_of_lower = (estimate.value + estimate.low) / 2
    assert not estimate <= middle_of_upper
    assert not estimate < middle_of_upper
    assert estimate <= estimate.high
    assert not estimate < estimate.high
    assert not estimate >= middle_of_lower
    assert not estimate > middle_of_lower
    assert estimate >= estimate.low
    assert not estimate > estimate.low


@pytest.mark.parametrize("kind", [float, np.float64, np.float32, Fraction])
def test_a_threshold_may_be_on_either_side(kind: Any) -> None:
    estimate = rate(19, 1000)  # 1.90 %, bounds 1.25 % and 2.78 %
    assert kind(0.03) >= estimate
    assert kind(0.03) > estimate
    assert not kind(0.02) >= estimate
    assert kind(0.01) <= estimate
    assert kind(0.01) < estimate
    assert not kind(0.018) <= estimate


def test_two_estimates_compare_at_the_bounds_that_face_each_other() -> None:
    assert rate(1, 1000) <= rate(50, 1000)
    assert not rate(18, 1000) <= rate(19, 1000)
    assert rate(50, 1000) >= rate(1, 1000)
    assert not rate(19, 1000) >= rate(18, 1000)


@given(st.integers(0, 40), st.sampled_from(OPERATORS), st.floats(0, 1))
def test_a_comparison_and_its_opposite_are_never_both_shown(k: int, operator: Operator, threshold: float) -> None:
    complement: dict[Operator, Operator] = {"<=": ">", "<": ">=", ">=": "<", ">": "<="}
    estimate = rate(k, 40)
    shown = satisfies(estimate, operator, threshold), satisfies(estimate, complement[operator], threshold)
    assert shown != (True, True)


@pytest.mark.parametrize(
    ("operator", "sides"),
    [("<=", ("high", "low")), ("<", ("high", "low")), (">=", ("low", "high")), (">", ("low", "high"))],
)
def test_the_facing_bound_of_another_estimate_decides(operator: Operator, sides: tuple[str, str]) -> None:
    """The two bounds that face each other are equal, and all others would decide otherwise."""
    protected, other = sides
    numbers = {"low": 0.1, "high": 0.3, protected: 0.2}
    against = {"low": 0.1, "high": 0.3, other: 0.2}
    left = replace(rate(19, 1000), value=0.2, **numbers)
    right = replace(rate(19, 1000), value=0.2, **against)
    assert satisfies(left, operator, right) == (operator in ("<=", ">="))


def test_estimates_of_other_units_are_not_compared() -> None:
    with pytest.raises(SpecError, match="one unit were expected on both sides; found memorization rate and reduction"):
        _ = rate(19, 1000) <= factor(2.0)


def test_an_estimate_is_neither_true_nor_false() -> None:
    with pytest.raises(TypeError, match="neither true nor false"):
        bool(rate(0, 10))


@pytest.mark.parametrize(
    ("limit", "kind"),
    [
        (True, "True"), (None, "NoneType"), ("0.01", "str"), (1j, "complex"), ([0.01], "list"),
        (np.array([0.01]), "ndarray"),
    ],
    ids=str,
)  # fmt: skip
def test_an_estimate_compares_with_numbers_only(limit: Any, kind: str) -> None:
    with pytest.raises(TypeError, match=f"found {kind}"):
        _ = rate(0, 10) <= limit
    with pytest.raises(TypeError, match=f"found {kind}"):
        _ = limit >= rate(0, 10)


@given(st.floats(0, 1))
def test_an_undefined_estimate_meets_no_threshold(threshold: float) -> None:
    undefined = rate(0, 0, exhaustive=True)
    assert math.isnan(undefined.value)
    assert not undefined <= threshold
    assert not undefined < threshold
    assert not undefined >= threshold
    assert not undefined > threshold


@pytest.mark.parametrize("threshold", [math.nan, 5, -0.1, 1.0001, math.inf])
def test_a_proportion_refuses_a_threshold_that_is_no_proportion(threshold: float) -> None:
    with pytest.raises(SpecError, match=r"must lie between 0 and 1 \(5% is 0.05\)"):
        _ = rate(0, 10) <= threshold


@pytest.mark.parametrize("number", [0, 0.5, Fraction(1, 2), Decimal("0.5"), np.float32(0.5)])
def test_an_estimate_equals_no_number(number: object) -> None:
    with pytest.raises(TypeError, match="has no equal number"):
        _ = rate(5, 10) == number
    with pytest.raises(TypeError, match="has no equal number"):
        _ = rate(5, 10) != number


def test_no_estimate_meets_an_undefined_one() -> None:
    undefined = rate(0, 0, exhaustive=True)
    assert not rate(0, 100, exhaustive=True) <= undefined
    assert not rate(100, 100, exhaustive=True) >= undefined


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        (rate(19, 1000), "1.90% [≤ 2.78%] (19 of 1 000)"),
        (rate(0, 1000), "0.00% [≤ 0.30%] (0 of 1 000)"),
        (rate(0, 1000, exhaustive=True), "0.00% [exact] (0 of 1 000)"),
        (rate(19, 1000, exhaustive=True), "1.90% (19 of 1 000)"),
        (rate(19, 1000, most=22, ambiguous=3, exhaustive=True), "1.90% [≤ 2.20%] (19 + 3 ambiguous of 1 000)"),
        (rate(12, 1_000_000, exhaustive=True), "0.0012% (12 of 1 000 000)"),
        (replace(rate(1, 20, exhaustive=True), too_short=5000), "5.00% (1 of 20; 5 000 rows too short to be measured)"),
        (
            replace(rate(1, 20, exhaustive=True), too_short=16, too_short_copies=16),
            "5.00% (1 of 20; 16 rows too short to be measured; one too short to look at stands 16 times)",
        ),
        (replace(factor(2.4), too_short=3), "2.40 × (10 examples; 3 rows too short to be measured)"),
        (rate(0, 0), "undefined (0 of 0)"),
        (factor(2.4), "2.40 × (10 examples)"),
        (factor(math.inf), "infinite (10 examples)"),
        (replace(factor(2.4), low=1.5, high=3.5), "2.40 × [≥ 1.50 ×] (10 examples)"),
        (replace(factor(2.4), low=1.5, high=3.5, unit="nats"), "2.4000 nats a token [≤ 3.5000] (10 examples)"),
        (replace(factor(2.4), unit="examples"), "2.4 (10 examples)"),
    ],
)
def test_an_estimate_prints_with_its_bound_and_its_counts(estimate: Estimate, text: str) -> None:
    assert str(estimate) == text


def test_the_text_of_an_estimate_shows_the_bound_that_the_operator_reads() -> None:
    estimate = rate(19, 1000)
    assert estimate.describe("<") == "1.90% [≤ 2.78%] (19 of 1 000)"
    assert estimate.describe(">") == "1.90% [≥ 1.25%] (19 of 1 000)"


@given(st.integers(1, 2000), st.booleans())
def test_no_hits_never_print_as_a_bare_zero(n: int, exhaustive: bool) -> None:
    assert str(rate(0, n, exhaustive=exhaustive)).startswith("0.00% [")


@pytest.mark.parametrize(
    "estimate",
    [
        rate(19, 1000, most=22, ambiguous=3),
        rate(0, 0),
        Estimate("reduction", "student", 1.6, 1.1, 2.4, None, 1000, unit="factor", too_short=7),
        factor(math.inf),
        factor(math.nan),
        Estimate("loss", "student", 2.5, -math.inf, math.inf, None, 1, unit="nats"),
    ],
    ids=str,
)
def test_an_estimate_survives_strict_json(estimate: Estimate) -> None:
    text = json.dumps(estimate.to_json(), allow_nan=False)
    restored = from_json(Estimate, json.loads(text))
    without_bound = {"low": -math.inf, "high": math.inf}  # a bound that is no number bounds nothing
    for name in Estimate.__dataclass_fields__:
        before, after = getattr(estimate, name), getattr(restored, name)
        both_nan = before != before and after != after
        assert after == before or both_nan or (before != before and after == without_bound.get(name)), name
