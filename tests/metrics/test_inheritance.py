"""Inheritance against the paper's published counts, and its bounds against every outcome of the ambiguous verdicts."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file
from scipy.stats import beta

from pytest_kdmem.errors import SpecError
from pytest_kdmem.metrics.estimate import Estimate
from pytest_kdmem.metrics.inheritance import CELLS, Inheritance, compute_inheritance, is_same_model
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.metrics.memorized_flags import MemorizedFlags
from tests.metrics.score_tables import memorization_from, row

Verdicts = tuple[int, int, int]  # of teacher, baseline and student on an example: 0 no, 1 yes, 2 ambiguous
VERDICTS_IN_CELL: dict[str, Verdicts] = {
    "teacher": (1, 0, 0),
    "baseline": (0, 1, 0),
    "student": (0, 0, 1),
    "teacher+baseline": (1, 1, 0),
    "teacher+student": (1, 0, 1),
    "baseline+student": (0, 1, 1),
    "all": (1, 1, 1),
    "none": (0, 0, 0),
}


def inheritance_with(cells: dict[str, int], *, exhaustive: bool = True) -> Inheritance:
    """Three models with these numbers of examples in the cells of their Venn diagram."""
    verdicts = [VERDICTS_IN_CELL[cell] for cell, size in cells.items() for _ in range(size)]
    table = np.array(verdicts, dtype=bool).reshape(-1, 3)
    table = table[np.random.default_rng(0).permutation(len(table))]
    return Inheritance(
        *(MemorizedFlags.unambiguous(column) for column in table.T), exhaustive, example_ids=np.arange(len(table))
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


def test_the_student_has_the_published_share_of_what_only_the_teacher_memorized() -> None:
    inheritance = inheritance_with(PYTHIA)
    assert (inheritance.inherited, inheritance.ratio.n) == (18, 1955)
    assert inheritance.ratio.value == 18 / 1955
    assert str(inheritance.ratio) == "0.92% (18 of 1 955)"


def test_the_published_share_of_what_the_student_recites_is_easy() -> None:
    inheritance = inheritance_with(PYTHIA)
    assert (inheritance.easy, inheritance.easy_share.n) == (676, 706)
    assert inheritance.easy_share.value == pytest.approx(0.957, abs=0.001)
    assert inheritance.share.value == 18 / 706


def test_hard_distillation_inherits_as_many_times_more_as_published() -> None:
    soft, hard = (inheritance_with({**PYTHIA, "teacher": 1955 - n, "teacher+student": n}) for n in (18, 50))
    assert hard.ratio.n == soft.ratio.n
    assert hard.ratio.value / soft.ratio.value == pytest.approx(50 / 18)


def test_the_published_rates_give_the_published_reduction() -> None:
    n, baseline, student = 1_000_000, np.zeros(1_000_000, bool), np.zeros(1_000_000, bool)
    baseline[:1700] = True
    student[1000:1700] = True
    inheritance = Inheritance(
        MemorizedFlags.unambiguous(np.zeros(n, bool)),
        MemorizedFlags.unambiguous(baseline),
        MemorizedFlags.unambiguous(student),
        exhaustive=True,
    )
    assert inheritance.reduction.value == pytest.approx(2.4, abs=0.05)
    assert inheritance.reduction.low == inheritance.reduction.high == inheritance.reduction.value
    assert str(inheritance.reduction) == "2.43 × (1 000 000 examples)"
    assert inheritance.p_value == pytest.approx(2.0**-999, rel=1e-9)


@given(st.lists(st.integers(0, 20), min_size=8, max_size=8))
def test_cells_are_counted_apart_and_add_up_to_all_examples(sizes: list[int]) -> None:
    cells = dict(zip(CELLS, sizes, strict=True))
    inheritance = inheritance_with(cells)
    assert inheritance.cells == cells
    assert sum(inheritance.cells.values()) == sum(sizes)
    assert len(inheritance.inherited_examples) == inheritance.inherited == cells["teacher+student"]


def test_inherited_examples_are_named_by_their_place_in_the_training_set() -> None:
    t, b, s = (np.array(flags, bool) for flags in ([1, 1, 1, 0], [0, 1, 0, 0], [1, 1, 1, 1]))
    inheritance = Inheritance(*map(MemorizedFlags.unambiguous, (t, b, s)), True, example_ids=np.array([3, 8, 21, 22]))
    assert inheritance.inherited_examples == [3, 21]


@given(st.integers(0, 8), st.integers(0, 8))
def test_the_p_value_reads_only_the_examples_on_which_the_two_models_differ(
    baseline_only: int, student_only: int
) -> None:
    few_shared = inheritance_with({"baseline": baseline_only, "student": student_only, "all": 1, "none": 3})
    many_shared = inheritance_with({"baseline": baseline_only, "teacher+student": student_only, "all": 50, "none": 300})
    differing = baseline_only + student_only
    tail = sum(math.comb(differing, i) for i in range(min(baseline_only, student_only) + 1)) / 2**differing
    assert few_shared.p_value == pytest.approx(min(1.0, 2 * tail))
    assert many_shared.p_value == few_shared.p_value


def test_without_anything_to_inherit_the_ratio_is_undefined_and_meets_no_threshold() -> None:
    inheritance = inheritance_with({"none": 100})
    for estimate in (inheritance.ratio, inheritance.share, inheritance.easy_share, inheritance.reduction):
        assert math.isnan(estimate.value)
        assert not estimate <= 1
        assert not estimate >= 0


def test_over_a_sample_a_ratio_has_the_bounds_of_clopper_and_pearson() -> None:
    ratio = inheritance_with(PYTHIA, exhaustive=False).ratio
    assert ratio.high == pytest.approx(beta.ppf(0.95, 19, 1955 - 18), rel=1e-6)
    assert ratio.low == pytest.approx(beta.ppf(0.05, 18, 1955 - 17), rel=1e-6)


class EstimateCase(NamedTuple):
    """An estimate, and what an example with unambiguous verdicts (T, B, S) adds to its numerator and denominator."""

    read: Callable[[Inheritance], Estimate]
    terms: Callable[[int, int, int], tuple[int, int]]


ESTIMATES = {
    "ratio": EstimateCase(lambda inheritance: inheritance.ratio, lambda t, b, s: (t & (1 - b) & s, t & (1 - b))),
    "share": EstimateCase(lambda inheritance: inheritance.share, lambda t, b, s: (t & (1 - b) & s, s)),
    "easy_share": EstimateCase(lambda inheritance: inheritance.easy_share, lambda t, b, s: (t & b & s, s)),
    "reduction": EstimateCase(lambda inheritance: inheritance.reduction, lambda t, b, s: (b, s)),
}


def ambiguous_inheritance(verdicts: list[Verdicts], observed_as: list[bool]) -> Inheritance:
    """Three models with these verdicts; ``observed_as`` says how each ambiguous verdict was observed."""
    table = np.array(verdicts)
    memorized = np.where(table == 2, np.array(observed_as[: table.size]).reshape(table.shape), table == 1)
    return Inheritance(
        *(MemorizedFlags(memorized[:, model], table[:, model] == 1, table[:, model] > 0) for model in range(3)),
        exhaustive=True,
    )


def values_of_all_outcomes(verdicts: list[Verdicts], case: EstimateCase) -> list[float]:
    """The quotient under each outcome of the ambiguous verdicts, by brute force; NaN where it is undefined."""
    values = []
    for outcome in product(*([(0, 1) if verdict == 2 else (verdict,) for example in verdicts for verdict in example])):
        terms = [case.terms(*outcome[start : start + 3]) for start in range(0, len(outcome), 3)]
        numerator, denominator = (sum(term[part] for term in terms) for part in (0, 1))
        if denominator:
            values.append(float(Fraction(numerator, denominator)))
        else:
            values.append(math.inf if numerator else math.nan)
    return values


@pytest.mark.parametrize("name", ESTIMATES)
@given(
    verdicts=st.lists(st.tuples(*[st.sampled_from([0, 0, 1, 1, 2])] * 3), min_size=1, max_size=7),
    observed_as=st.lists(st.booleans(), min_size=21, max_size=21),
)
@settings(max_examples=200)
def test_the_bounds_are_the_least_and_the_greatest_value_that_ambiguous_verdicts_allow(
    name: str, verdicts: list[Verdicts], observed_as: list[bool]
) -> None:
    assume(sum(verdict == 2 for example in verdicts for verdict in example) <= 8)
    estimate = ESTIMATES[name].read(ambiguous_inheritance(verdicts, observed_as))
    assume(not math.isnan(estimate.value))
    assert estimate.low <= estimate.value <= estimate.high
    values = values_of_all_outcomes(verdicts, ESTIMATES[name])
    defined = [value for value in values if not math.isnan(value)]
    assert not estimate.low > min(defined) + 1e-12
    assert not estimate.high < max(defined) - 1e-12
    if len(defined) == len(values):
        assert (estimate.low, estimate.high) == pytest.approx((min(values), max(values)))


def test_a_student_that_is_the_baseline_inherits_nothing_that_could_be_measured() -> None:
    inheritance = replace(inheritance_with(PYTHIA), same_model=True, confidence=0.99)
    for estimate in (inheritance.ratio, inheritance.share, inheritance.easy_share):
        assert math.isnan(estimate.value)
        assert not estimate <= 1
        assert estimate.confidence == 0.99


def test_a_baseline_that_is_a_copy_of_the_student_shows_no_reduction_whatever_it_recites() -> None:
    """Rounded weights may recite less."""
    assert inheritance_with({"baseline": 3, "all": 1}).reduction.value == 4
    copied = replace(inheritance_with({"baseline": 3, "all": 1}), same_model=True)
    assert copied.reduction.low == copied.reduction.value == copied.reduction.high == 1


def test_of_a_baseline_that_is_the_teacher_nothing_is_the_teachers_alone() -> None:
    inheritance = replace(inheritance_with(PYTHIA), same_reference=True)
    for estimate in (inheritance.ratio, inheritance.share, inheritance.easy_share):
        assert math.isnan(estimate.value)
        assert not estimate <= 1
    assert inheritance.reduction.value == inheritance_with(PYTHIA).reduction.value


def test_over_a_sample_ambiguous_verdicts_widen_the_bounds_that_chance_gives() -> None:
    b, s = np.zeros(5000, bool), np.zeros(5000, bool)
    b[:300] = True
    s[200:300] = True
    sure_b, possible_s = b.copy(), s.copy()
    sure_b[:60] = False  # 60 hits of the baseline are ambiguous,
    possible_s[400:420] = True  # and 20 misses of the student
    unambiguous = MemorizedFlags.unambiguous
    teacher = unambiguous(np.zeros(5000, bool))
    ambiguous = Inheritance(teacher, MemorizedFlags(b, sure_b, b), MemorizedFlags(s, s, possible_s), exhaustive=False)
    worst = Inheritance(teacher, unambiguous(sure_b), unambiguous(possible_s), exhaustive=False)
    assert ambiguous.reduction.low == worst.reduction.low


def test_three_memorizations_are_compared_example_by_example() -> None:
    def model(subject: str, memorized: str) -> Memorization:
        return memorization_from([row(digest, memorized=digest in memorized) for digest in "abcdabc"], subject=subject)

    inheritance = compute_inheritance(model("teacher", "abc"), model("baseline", "b"), model("student", "abd"))
    assert inheritance.inherited_examples == [0]
    assert inheritance.cells == {
        "teacher": 1, "baseline": 0, "student": 1, "teacher+baseline": 0,
        "teacher+student": 1, "baseline+student": 0, "all": 1, "none": 0,
    }  # fmt: skip


def test_an_inheritance_says_whose_it_is_and_what_it_is_comparable_on() -> None:
    teacher, baseline, student = (memorization_from([row("a")], subject=subject) for subject in ("t", "b", "s"))
    inheritance = compute_inheritance(teacher, baseline, replace(student, other_set="unseen", confidence=0.9))
    assert (inheritance.subject, inheritance.confidence, inheritance.exhaustive) == ("s on unseen", 0.9, True)
    assert inheritance.model_digest == "digest of s"
    digests = {"training set": teacher.scores.record.digest, "teacher": "digest of t", "baseline": "digest of b"}
    assert inheritance.comparable_on == digests
    assert (inheritance.same_model, inheritance.same_reference) == (False, False)
    assert compute_inheritance(teacher, teacher, student).same_reference
    assert compute_inheritance(teacher, student, student).same_model


def test_every_figure_says_how_many_examples_were_too_short() -> None:
    inheritance = replace(inheritance_with(PYTHIA), too_short=7)
    for estimate in (inheritance.ratio, inheritance.share, inheritance.easy_share, inheritance.reduction):
        assert estimate.too_short == 7


@pytest.mark.parametrize(("factor", "same"), [(1.0, True), (1.1, False)])
def test_a_copy_is_known_by_its_weights_whatever_dtype_they_are_stored_in(
    tmp_path: Path, factor: float, same: bool
) -> None:
    weights = np.random.default_rng(0).normal(size=(8, 8)).astype(np.float32)
    checkpoints = []
    for name, stored in (("original", weights), ("copy", (factor * weights).astype(np.float16))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
        save_file({"weight": stored}, tmp_path / name / "model.safetensors")
        checkpoint = memorization_from([row("a")], subject=name).scores.checkpoint
        checkpoints.append(replace(checkpoint, folder=tmp_path / name, weights_digest=f"weights of {name}"))
    assert is_same_model(*checkpoints) == same
    original, copied = checkpoints
    assert is_same_model(original, replace(copied, weights_digest=original.weights_digest))
    assert not is_same_model(original, replace(copied, weights_digest=""))


def test_the_ambiguous_examples_of_a_share_are_those_that_may_change_it() -> None:
    # Of the teacher, the baseline and the student: changes the whole, changes the part, lies outside of the whole.
    verdicts: list[Verdicts] = [(2, 0, 1), (1, 2, 1), (1, 0, 2), (1, 0, 1), (0, 0, 2)]
    assert ambiguous_inheritance(verdicts, [True] * 15).ratio.ambiguous == 3


def test_models_with_different_tokenizers_are_not_compared() -> None:
    teacher = memorization_from([row("a")], subject="teacher", tokenizer="other")
    student = memorization_from([row("a")])
    with pytest.raises(SpecError, match="tokenizer"):
        compute_inheritance(teacher, student, student)


def test_models_scored_over_different_examples_are_not_compared() -> None:
    teacher = memorization_from([row("a")], subject="teacher")
    student = memorization_from([row("b")], shards=("second",))
    with pytest.raises(SpecError, match="same examples"):
        compute_inheritance(teacher, student, student)
