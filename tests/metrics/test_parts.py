"""Parts of a sample: copies stand in all of their groups, bounds hold at once, and strata are told by all they took."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import beta

from pytest_kdmem.corpus.drawing import Stratum
from pytest_kdmem.corpus.groups import Groups
from pytest_kdmem.metrics.inheritance import compute_inheritance
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.specs.declared import TrainingSet
from tests.metrics.score_tables import memorization_from, row

# Positions of the texts a to f in a source of 12 rows; only a to d and e, f are scored.
GROUPS = Groups("owner", ("x", "y", "z", "none"), np.array([0, 0, 1, 1, 0, 2, 1, 0, 3, 2, 0, 0], np.int32))
PLACES = {"a": (0, 6, 9), "b": (1,), "c": (2,), "d": (4, 10)}
BEYOND = {"e": (3,), "f": (5,)}


def sampled(places: dict[str, tuple[int, ...]], recited: str, role: str, **declared: object) -> Memorization:
    rows = [row(name, memorized=name in recited) | {"example_id": at[0]} for name, at in places.items()]
    memorization = memorization_from(rows, exhaustive=False, subject=role, shards=tuple(places))
    copies = tuple(at for at in places.values() if len(at) > 1)
    scores = replace(
        memorization.scores,
        record=replace(memorization.scores.record, copies=copies, examples=12),
        training_set=TrainingSet("train.jsonl", sample=4, group_column="owner", **declared),  # type: ignore[arg-type]
    )
    return replace(memorization, scores=scores, groups=GROUPS)


def stratified(recited: str, role: str = "student") -> Memorization:
    declared = {"stratify": "group", "stratum_sample": 2}
    beyond = sampled(BEYOND, recited, role, **declared)
    strata = (Stratum(0, 6, ()), Stratum(1, 3, (3,)), Stratum(2, 2, (5,)), Stratum(3, 1, ()))
    scores = replace(beyond.scores, record=replace(beyond.scores.record, strata=strata))
    return replace(sampled(PLACES, recited, role, **declared), beyond=replace(beyond, scores=scores))


def test_copies_of_a_sample_are_counted_and_are_of_all_their_groups() -> None:
    student = sampled(PLACES, "ad", "student")
    assert student.distinct["copies"].to_pylist() == [3, 1, 1, 2]
    assert {tier: subset.example_ids.tolist() for tier, subset in student.by_copies.items()} == {
        "1": [1, 2], "2-3": [0, 4], "4-15": [], "16+": [],
    }  # fmt: skip
    by_group = student.by_group
    assert {name: subset.example_ids.tolist() for name, subset in by_group.items()} == {
        "x": [0, 1, 4], "y": [0, 2], "z": [0], "none": [],
    }  # fmt: skip
    assert by_group.not_looked_at == ("none",)
    assert not by_group <= 1.0
    assert by_group.looked_at <= 1.0


def test_bounds_of_all_parts_hold_at_once() -> None:
    rate = sampled(PLACES, "ad", "student").by_group["x"].rate
    assert (rate.k, rate.n, rate.confidence) == (2, 3, pytest.approx(1 - 0.05 / 4))
    assert rate.high == pytest.approx(beta.ppf(1 - 0.05 / 4, 3, 1))
    assert rate.low == pytest.approx(beta.ppf(0.05 / 4, 2, 2))


def test_a_stratum_is_told_by_the_sample_and_what_it_takes_beyond_it() -> None:
    student = stratified("aef")
    rates = {name: subset.rate for name, subset in student.by_group.items()}
    assert {name: (rate.k, rate.n, rate.exhaustive) for name, rate in rates.items()} == {
        "x": (1, 3, False), "y": (2, 3, True), "z": (2, 2, True), "none": (0, 0, False),
    }  # fmt: skip
    assert rates["y"].low == rates["y"].high == 2 / 3
    # All other figures are of the random sample alone, and tiers of copies are no strata here.
    assert (student.rate.k, student.rate.n) == (1, 4)
    assert student.by_copies["1"].example_ids.tolist() == [1, 2]


def test_tiers_that_a_stratified_sample_knows_to_be_empty_are_left_out() -> None:
    student = stratified("aef")
    assert student.beyond is not None
    strata = (Stratum(0, 4, (3, 5)), Stratum(1, 2, ()))
    beyond = replace(
        student.beyond,
        scores=replace(student.beyond.scores, record=replace(student.beyond.scores.record, strata=strata)),
    )
    scores = replace(student.scores, training_set=replace(student.scores.training_set, stratify="copies"))
    by_copies = replace(student, scores=scores, beyond=beyond).by_copies
    assert {tier: (subset.rate.n, subset.exhaustive) for tier, subset in by_copies.items()} == {
        "1": (4, True), "2-3": (2, True),
    }  # fmt: skip


def test_inheritance_by_group_is_over_the_same_examples() -> None:
    models = (stratified("abcdef", "teacher"), stratified("ab", "baseline"), stratified("aef"))
    by_group = compute_inheritance(*models).by_group
    ratio = by_group["y"].ratio
    # Of y are a, c and e: the teacher alone has c and e, and the student e of these.
    assert (ratio.k, ratio.n, ratio.low, ratio.high) == (1, 2, 0.5, 0.5)
    assert by_group["z"].inherited_examples == [5]
    assert by_group["x"].ratio.confidence == pytest.approx(1 - 0.05 / 4)
    assert not by_group["none"].ratio <= 1.0
