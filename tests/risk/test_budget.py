"""A budget has one limit, sets the cutoff and the most rows, and is named in words."""

from __future__ import annotations

import math

import pytest

from pytest_kdmem.errors import SpecError
from pytest_kdmem.risk.budget import Budget


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        ({}, "95% of what is memorized"),
        ({"recall": 0.9}, "90% of what is memorized"),
        ({"threshold": 0.25}, "risk of 0.25 or more"),
        ({"at_most": 0.005}, "at most 0.5% of the rows"),
    ],
)
def test_a_budget_is_named_in_the_manifest(limits, text):
    assert str(Budget(**limits)) == text


def test_a_budget_sets_the_cutoff_and_the_most_rows():
    assert (Budget().cutoff.threshold, Budget().cutoff.recall, Budget().max_rows(1000)) == (None, 0.95, math.inf)
    assert Budget(threshold=0.25).cutoff.threshold == 0.25
    assert Budget(recall=0.9).cutoff.recall == 0.9
    assert Budget(at_most=0.005).max_rows(1000) == 5


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"threshold": 0.5, "recall": 0.9}, "found --threshold and --recall: keep one"),
        ({"at_most": 1.0}, "at-most must be a number above 0 and below 1; found 1"),
        ({"recall": 0.0}, "recall must be a number above 0 and below 1; found 0"),
    ],
)
def test_a_budget_has_at_most_one_limit_between_0_and_1(limits, message):
    with pytest.raises(SpecError, match=message):
        Budget(**limits)
