"""Inheritance against the paper's published counts, and its bounds against all that ambiguous examples allow."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import beta

from pytest_kdmem.audit.provenance import unequal
from pytest_kdmem.metrics.estimate import Estimate
from pytest_kdmem.metrics.inheritance import CELLS, Inheritance, Membership
from pytest_kdmem.specs.checkpoint import Checkpoint

Row = tuple[int, int, int]
ROWS = dict(
    zip(CELLS, [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, 0, 1), (0, 1, 1), (1, 1, 1), (0, 0, 0)], strict=True)
)


def of_cells(cells: dict[str, int], *, exhaustive: bool = True) -> Inheritance:
    """Three models of which so many examples are memorized by whom."""
    table = np.array([ROWS[cell] for cell, size in cells.items() for _ in range(size)], dtype=bool).reshape(-1, 3)
    table = table[np.random.default_rng(0).permutation(len(table))]
    return Inheritance(
        *(Membership.exactly(column) for column in table.T), exhaustive, example_ids=tuple(range(len(table)))
    )


# Pythia on FineWeb (p): |T \ B| = 1 955, inherited 18; |S| = 706, easy 676; a further 696 in T ∩ B; rates of 1 000 000.
PYTHIA = {
    "teacher": 1937,
    "teacher+student": 18,
    "all": 676,
    "teacher+baseline": 696,
    "baseline+student": 0,
    "student": 12,
}


def test_of_what_is_the_teachers_alone_the_student_has_the_published_share() -> None:
    found = of_cells(PYTHIA)
    assert (found.inherited, found.ratio.n) == (18, 1955)
    assert found.ratio.value == 18 / 1955
    assert str(found.ratio) == "0.92% (18 of 1 955)"


def test_of_what_the_student_recites_the_published_share_is_easy() -> None:
    found = of_cells(PYTHIA)
    assert (found.easy, found.easy_share.n) == (676, 706)
    assert found.easy_share.value == pytest.approx(0.957, abs=0.001)
    assert found.share.value == 18 / 706


def test_hard_distillation_inherits_as_many_times_more_as_published() -> None:
    soft, hard = (of_cells({**PYTHIA, "teacher": 1955 - n, "teacher+student": n}) for n in (18, 50))
    assert hard.ratio.n == soft.ratio.n
    assert hard.ratio.value / soft.ratio.value == pytest.approx(50 / 18)


def test_the_published_rates_give_the_published_reduction() -> None:
    n, baseline, student = 1_000_000, np.zeros(1_000_000, bool), np.zeros(1_000_000, bool)
    baseline[:1700] = True
    student[1000:1700] = True
    found = Inheritance(
        Membership.exactly(np.zeros(n, bool)),
        Membership.exactly(baseline),
        Membership.exactly(student),
        exhaustive=True,
    )
    assert found.reduction.value == pytest.approx(2.4, abs=0.05)
    assert found.reduction.low == found.reduction.high == found.reduction.value
    assert str(found.reduction) == "2.43 × (1 000 000 examples)"
    assert found.p_value == pytest.approx(2.0**-999, rel=1e-9)


@given(st.lists(st.integers(0, 20), min_size=8, max_size=8))
def test_cells_are_counted_apart_and_add_up_to_all_examples(sizes: list[int]) -> None:
    cells = dict(zip(CELLS, sizes, strict=True))
    found = of_cells(cells)
    assert found.cells == cells
    assert sum(found.cells.values()) == sum(sizes)
    assert len(found.inherited_examples) == found.inherited == cells["teacher+student"]


def test_inherited_examples_are_named_by_their_place_in_the_training_set() -> None:
    t, b, s = (np.array(flags, bool) for flags in ([1, 1, 1, 0], [0, 1, 0, 0], [1, 1, 1, 1]))
    found = Inheritance(*map(Membership.exactly, (t, b, s)), True, example_ids=(3, 8, 21, 22))
    assert found.inherited_examples == [3, 21]


@given(st.integers(0, 8), st.integers(0, 8))
def test_the_p_value_reads_only_the_examples_on_which_the_two_models_differ(of_baseline: int, of_student: int) -> None:
    few = of_cells({"baseline": of_baseline, "student": of_student, "all": 1, "none": 3})
    many = of_cells({"baseline": of_baseline, "teacher+student": of_student, "all": 50, "none": 300})
    differing = of_baseline + of_student
    tail = sum(math.comb(differing, i) for i in range(min(of_baseline, of_student) + 1)) / 2**differing
    assert few.p_value == pytest.approx(min(1.0, 2 * tail))
    assert many.p_value == few.p_value


def test_without_anything_to_inherit_the_ratio_is_undefined_and_meets_no_threshold() -> None:
    found = of_cells({"none": 100})
    for figure in (found.ratio, found.share, found.easy_share, found.reduction):
        assert math.isnan(figure.value)
        assert not figure <= 1
        assert not figure >= 0


def test_over_a_sample_a_ratio_has_the_bounds_of_clopper_and_pearson() -> None:
    ratio = of_cells(PYTHIA, exhaustive=False).ratio
    assert ratio.high == pytest.approx(beta.ppf(0.95, 19, 1955 - 18), rel=1e-6)
    assert ratio.low == pytest.approx(beta.ppf(0.05, 18, 1955 - 17), rel=1e-6)


# Brute force: every ambiguous flag either way. An example is (T, B, S), each 0 no, 1 yes, 2 ambiguous.
class Figure(NamedTuple):
    of: Callable[[Inheritance], Estimate]
    parts: Callable[[int, int, int], tuple[int, int]]  # what an example adds to numerator and denominator


FIGURES = {
    "ratio": Figure(lambda found: found.ratio, lambda t, b, s: (t & (1 - b) & s, t & (1 - b))),
    "share": Figure(lambda found: found.share, lambda t, b, s: (t & (1 - b) & s, s)),
    "easy_share": Figure(lambda found: found.easy_share, lambda t, b, s: (t & b & s, s)),
    "reduction": Figure(lambda found: found.reduction, lambda t, b, s: (b, s)),
}
examples = st.lists(st.tuples(*[st.sampled_from([0, 0, 1, 1, 2])] * 3), min_size=1, max_size=7)
ambiguous_found = st.lists(st.booleans(), min_size=21, max_size=21)


def ambiguous_models(rows: list[Row], found_as: list[bool], *, exhaustive: bool = True) -> Inheritance:
    table = np.array(rows)
    found = np.where(table == 2, np.array(found_as[: table.size]).reshape(table.shape), table == 1)
    return Inheritance(
        *(Membership(found[:, at], table[:, at] == 1, table[:, at] > 0) for at in range(3)), exhaustive=exhaustive
    )


def all_values(rows: list[Row], figure: Figure) -> list[float]:
    """The figure under each assignment of the ambiguous flags; NaN where it is undefined."""
    values = []
    for chosen in product(*([(0, 1) if flag == 2 else (flag,) for row in rows for flag in row])):
        parts = [figure.parts(*chosen[at : at + 3]) for at in range(0, len(chosen), 3)]
        top, bottom = (sum(part[at] for part in parts) for at in (0, 1))
        values.append(float(Fraction(top, bottom)) if bottom else (math.inf if top else math.nan))
    return values


@pytest.mark.parametrize("name", FIGURES)
@given(rows=examples, found_as=ambiguous_found)
@settings(max_examples=150)
def test_no_fall_of_the_ambiguous_examples_leads_out_of_the_bounds(
    name: str, rows: list[Row], found_as: list[bool]
) -> None:
    assume(sum(flag == 2 for row in rows for flag in row) <= 10)
    estimate = FIGURES[name].of(ambiguous_models(rows, found_as))
    assume(not math.isnan(estimate.value))
    defined = [value for value in all_values(rows, FIGURES[name]) if not math.isnan(value)]
    assert not estimate.low > min(defined) + 1e-12
    assert not estimate.high < max(defined) - 1e-12


@pytest.mark.parametrize("name", FIGURES)
@given(rows=examples, found_as=ambiguous_found)
@settings(max_examples=150)
def test_the_bounds_are_the_least_and_the_greatest_that_the_ambiguous_examples_allow(
    name: str, rows: list[Row], found_as: list[bool]
) -> None:
    assume(sum(flag == 2 for row in rows for flag in row) <= 10)
    values = all_values(rows, FIGURES[name])
    assume(not any(map(math.isnan, values)))
    estimate = FIGURES[name].of(ambiguous_models(rows, found_as))
    assert (estimate.low, estimate.high) == pytest.approx((min(values), max(values)))


@pytest.mark.parametrize("name", FIGURES)
@given(rows=examples, found_as=ambiguous_found)
@settings(max_examples=150)
def test_a_figure_that_is_a_number_has_bounds_that_are_numbers(
    name: str, rows: list[Row], found_as: list[bool]
) -> None:
    estimate = FIGURES[name].of(ambiguous_models(rows, found_as))
    if not math.isnan(estimate.value):
        assert not math.isnan(estimate.low)
        assert not math.isnan(estimate.high)
        assert estimate.low <= estimate.value <= estimate.high


def test_over_a_sample_ambiguity_adds_to_chance_and_does_not_hide_in_it() -> None:
    b, s = np.zeros(5000, bool), np.zeros(5000, bool)
    b[:300] = True
    s[200:300] = True
    sure_b, possible_s = b.copy(), s.copy()
    sure_b[:60] = False  # 60 hits of the baseline are ambiguous,
    possible_s[400:420] = True  # and 20 misses of the student
    nobody = Membership.exactly(np.zeros(5000, bool))
    ambiguous = Inheritance(nobody, Membership(b, sure_b, b), Membership(s, s, possible_s), exhaustive=False)
    worst = Inheritance(nobody, Membership.exactly(sure_b), Membership.exactly(possible_s), exhaustive=False)
    assert ambiguous.reduction.low <= worst.reduction.low * 1.02  # within the noise of a bootstrap


def test_a_baseline_that_tells_little_is_told() -> None:
    """It is to be of the student's size, and another model than the teacher."""
    large, small, other = (
        Checkpoint(Path(), digest, "tokenizer", "text", size, 300, None, "float32", "GPTNeoX")
        for digest, size in (("a", 3_000_000), ("b", 800_000), ("c", 800_000))
    )
    assert list(unequal(large, small, other)) == []
    assert list(unequal(large, large, small)) == ["teacher and baseline are one model: nothing is the teacher's alone"]
    [said] = unequal(small, large, other)
    assert said == "the baseline has 3 000 000 parameters, the student 800 000: part of the reduction is of size"
