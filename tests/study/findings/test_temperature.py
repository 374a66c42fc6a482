"""Finding 9: memorization by temperature."""

from __future__ import annotations

import pytest

from pytest_kdmem.errors import DataError
from pytest_kdmem.study.findings import temperature
from tests.study.studies_by_hand import line


def test_temperature(by_hand):
    hand = by_hand(range(40))
    runs = [
        hand.model("soft", range(9)),
        hand.model("soft", range(30), seed=1),  # of no sweep
        hand.model("soft", range(2), part="temperature", temperature=4.0),
        hand.model("soft", range(12), part="temperature", temperature=1.0),
    ]
    (sweep,) = temperature.temperature(hand.study(*runs))
    assert [(point.temperature, point.memorized.k) for point in sweep.points] == [(1.0, 12), (2.0, 9), (4.0, 2)]
    assert sweep.falling
    lines = temperature.rows((sweep,))
    assert line(lines, "memorized, soft, T = 4").agreement == "agrees"
    assert line(lines, "memorized, soft, T = 1").agreement is None
    assert line(lines, "memorized, soft, T = 2").measured.mean == 9 / 40


def test_a_sweep_that_rises_does_not_agree(by_hand):
    hand = by_hand(range(40))
    runs = [hand.model("soft"), hand.model("soft", range(12), part="temperature", temperature=4.0)]
    (sweep,) = temperature.temperature(hand.study(*runs))
    assert not sweep.falling
    assert line(temperature.rows((sweep,)), "memorized, soft, T = 4").agreement == "does not"


def test_a_single_temperature_is_no_sweep(by_hand):
    hand = by_hand(range(4))
    assert temperature.temperature(hand.study(hand.model("soft"))) == ()
    assert temperature.temperature(hand.study(hand.model("soft", part="temperature", temperature=1.0))) == ()


def test_one_temperature_twice_is_refused(by_hand):
    hand = by_hand(range(4))
    study = hand.study(hand.model("soft"), hand.model("soft", part="temperature", temperature=2.0))
    with pytest.raises(DataError, match="One soft student per temperature"):
        temperature.temperature(study)
