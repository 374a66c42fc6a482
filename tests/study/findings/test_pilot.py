"""Finding 11: rates of the pilot."""

from __future__ import annotations

from pytest_kdmem.study.findings import pilot
from tests.study.studies_by_hand import line


def test_pilot(by_hand):
    hand = by_hand(range(40))
    place = {"part": "pilot"}
    runs = [
        hand.model("teacher", range(30), **place),
        hand.model("baseline", range(20), **place),
        hand.model("soft", range(18), **place),
    ]
    study = hand.study(hand.model("teacher", range(1)), *runs)
    result = pilot.pilot(study)
    lines = pilot.rows(result)
    counts = [line(lines, f"memorized, {role}, examples") for role in ("teacher", "baseline", "soft")]
    assert [(each.measured.mean, each.published) for each in counts] == [(30, None), (20, None), (18, None)]
    assert line(lines, "memorized, teacher").agreement == "agrees"
    assert line(lines, "memorized, soft").agreement == "cannot be told at this n"  # 2 of 2 differ one way
    assert line(lines, "memorized, soft").published is None  # the rates published are of the main setting
    assert pilot.pilot(hand.study(hand.model("teacher"))) == ()
