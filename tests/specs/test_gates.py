"""Thresholds are held where they are named, and no others."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.declared import Thresholds
from pytest_kdmem.specs.gates import FURTHER, NAMES, named_thresholds, split_references


def test_only_thresholds_that_are_named_are_held():
    assert named_thresholds({}) == {}
    assert named_thresholds({"min_reduction": 3, "max_memorization_rate": 0.5}) == {
        "max_memorization_rate": 0.5,
        "min_reduction": 3.0,
    }
    assert tuple(named_thresholds(Thresholds())) == NAMES


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int64, Fraction], ids=lambda kind: kind.__name__)
def test_a_threshold_is_any_real_number(kind):
    assert named_thresholds({"min_reduction": kind(2)}) == {"min_reduction": 2.0}
    assert type(Thresholds(max_predicted_risk=kind(0)).max_predicted_risk) is float
    with pytest.raises(SpecError, match=r"must be a share of at least 0 and below 1 .*; found 2"):
        named_thresholds({"max_memorization_rate": kind(2)})


@pytest.mark.parametrize(
    ("gates", "message"),
    [
        (
            {"max_rate": 0.1},
            "max_memorization_rate, max_inheritance_ratio, min_reduction, max_predicted_risk; found 'max_r",
        ),
        ({"max_memorization_rate": 5}, "max-memorization-rate must be a share of at least 0 and below 1 .*; found 5"),
        ({"max_memorization_rate": float("nan")}, "must be a share of at least 0 and below 1"),
        ({"min_reduction": True}, "min-reduction must be a number"),
        ({"min_reduction": np.bool_(True)}, "min-reduction must be a number"),
        ({"min_reduction": "2"}, "min-reduction must be a number"),
        (["max_memorization_rate"], "must be a mapping"),
    ],
)
def test_other_gates_are_refused(gates, message):
    with pytest.raises(SpecError, match=message):
        named_thresholds(gates)


def test_further_thresholds_are_named_where_they_are_taken_and_in_their_order():
    gates = {"max_canary_exposure": np.float32(3), "max_membership_auc": 0.6, "min_reduction": 2}
    assert list(named_thresholds(gates, with_further=True).items()) == [
        ("min_reduction", 2.0),
        ("max_membership_auc", 0.6),
        ("max_canary_exposure", 3.0),
    ]
    for name in FURTHER:
        with pytest.raises(SpecError, match=f"found '{name}'"):
            named_thresholds({name: 0.5})
        with pytest.raises(SpecError, match=r"must be a (number|share) of at least 0"):
            named_thresholds({name: -1}, with_further=True)
    assert tuple(named_thresholds(Thresholds(), with_further=True)) == NAMES


def test_a_gate_may_be_the_figure_of_another_model() -> None:
    gates = {"max_membership_auc": "baseline", "min_reduction": 2, "max_near_verbatim_rate": "teacher"}
    numbers, references = split_references(gates)
    assert numbers == {"min_reduction": 2}
    assert references == {"max_membership_auc": "baseline", "max_near_verbatim_rate": "teacher"}
    assert split_references(Thresholds()) == (Thresholds(), {})


@pytest.mark.parametrize(
    ("gates", "message"),
    [
        ({"max_membership_auc": "student"}, "max_membership_auc must be a number, or one of teacher, baseline; found"),
        ({"max_membership_auc": "0.5"}, "found '0.5'"),
        ({"max_memorization_rate": "baseline"}, "max_memorization_rate must be a number; .*rates by min_reduction"),
    ],
)
def test_another_word_is_no_threshold(gates: dict[str, float | str], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        split_references(gates)


def test_an_unknown_gate_is_refused_whatever_its_threshold_is() -> None:
    with pytest.raises(SpecError, match="Gates must be of"):
        named_thresholds(split_references({"max_rate": "baseline"})[0], with_further=True)
