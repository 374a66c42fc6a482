"""Memorization by number of copies."""

from __future__ import annotations

from pytest_kdmem.study.findings import repetition
from tests.study.studies_by_hand import line


def test_repetition(by_hand):
    # 0–3 stand once, 4 and 5 twice, 6 four times.
    hand = by_hand([0, 1, 2, 3, 4, 5, 6, 4, 5, 6, 6, 6])
    runs = [hand.model("teacher", [3, 4, 6]), hand.model("baseline", [6]), hand.model("baseline", [5], seed=1)]
    (result,) = repetition.repetition(hand.study(*runs))
    of = {(each.role, each.copies): [(share.k, share.n) for share in each.memorized] for each in result.buckets}
    assert of == {
        ("teacher", 1): [(1, 4)],
        ("teacher", 2): [(1, 2)],
        ("teacher", 4): [(1, 1)],
        ("baseline", 1): [(0, 4), (0, 4)],
        ("baseline", 2): [(0, 2), (1, 2)],
        ("baseline", 4): [(1, 1), (0, 1)],
    }
    assert line(repetition.rows((result,)), "memorized, baseline, 2 ×").measured.mean == 0.25


def test_without_repeats_repetition_is_not_run(by_hand):
    hand = by_hand(range(4))
    assert repetition.repetition(hand.study(hand.model("teacher"))) == ()
