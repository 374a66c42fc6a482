"""The threshold of a predicted risk: one that is given, and one that finds enough of what is memorized."""

from __future__ import annotations

import math

import pytest

from pytest_kdmem.errors import SpecError
from pytest_kdmem.risk.cutoff import Cutoff, threshold_and_recall
from pytest_kdmem.risk.predicted import apply_predictor


def test_the_threshold_finds_the_recall_that_is_asked_for_or_more(predictor):
    """In trials on held-out examples, in which a threshold finds a whole number of them."""
    thresholds = []
    for recall in (0.5, 0.9, 0.95):
        threshold, reached_recall = threshold_and_recall(predictor, Cutoff(recall=recall))
        assert reached_recall >= recall
        thresholds.append(threshold)
    assert thresholds == sorted(thresholds, reverse=True)


def test_a_threshold_that_finds_less_than_half_is_refused_with_one_that_finds_most(features, predictor):
    with pytest.raises(SpecError, match=r"0.99999 finds .*% in trials .* \(.* finds 95.00%\): set a lower"):
        apply_predictor(features, predictor, Cutoff(0.99999))


@pytest.mark.parametrize("threshold", [0.0, 1.0, -0.1, math.nan])
def test_a_threshold_lies_between_0_and_1(threshold):
    with pytest.raises(SpecError, match="must be a number above 0 and below 1"):
        Cutoff(threshold)


def test_a_cutoff_names_its_threshold_or_its_recall():
    assert str(Cutoff(0.125)) == "0.125"
    assert str(Cutoff(recall=0.9)) == "recall of 90.00%"
