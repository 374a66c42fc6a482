"""Thresholds are held where they are named, and no others."""

from __future__ import annotations

import pytest

from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.declared import Thresholds
from pytest_kdmem.specs.gates import NAMES, named_thresholds


def test_only_thresholds_that_are_named_are_held():
    assert named_thresholds({}) == {}
    assert named_thresholds({"min_reduction": 3, "max_memorization_rate": 0.5}) == {
        "max_memorization_rate": 0.5,
        "min_reduction": 3.0,
    }
    assert tuple(named_thresholds(Thresholds())) == NAMES


@pytest.mark.parametrize(
    ("gates", "message"),
    [
        (
            {"max_rate": 0.1},
            "max_memorization_rate, max_inheritance_ratio, min_reduction, max_predicted_risk; found 'max_r",
        ),
        ({"max_memorization_rate": 5}, "max-memorization-rate must be a number between 0 and 1; found 5"),
        ({"max_memorization_rate": float("nan")}, "must be a number between 0 and 1"),
        ({"min_reduction": True}, "min-reduction must be a number"),
        (["max_memorization_rate"], "must be a mapping"),
    ],
)
def test_other_gates_are_refused(gates, message):
    with pytest.raises(SpecError, match=message):
        named_thresholds(gates)
