"""Models of a study are selected by their fields."""

from __future__ import annotations

import pytest

from pytest_kdmem.errors import DataError


@pytest.fixture
def study(by_hand):
    hand = by_hand(range(4))
    return hand.study(hand.model("teacher"), hand.model("soft"), hand.model("soft", seed=1))


def test_runs_are_selected_by_all_fields_that_are_given(study):
    assert [run.seed for run in study.select(role="soft")] == [0, 1]
    assert [run.role for run in study.select(role="soft", seed=1)] == ["soft"]
    assert study.select(role="hard") == ()
    assert study.one(role="teacher") is study.runs[0]


def test_one_model_must_match(study):
    with pytest.raises(DataError, match="role hard, and study by hand holds none"):
        study.one(role="hard")
    with pytest.raises(DataError, match="role soft, and study by hand holds 2"):
        study.one(role="soft")
