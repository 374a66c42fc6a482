"""What a student recites of text that its teacher alone saw."""

from __future__ import annotations

from pytest_kdmem.study.findings import absent
from tests.study.studies_by_hand import line, pairs


def test_each_half_has_its_own_counts(by_hand):
    # T = 0–19, B = 0–4 and 30; the student never saw 10–39.
    hand = by_hand([*range(40), *range(5)])
    unseen = frozenset(range(10, 40))
    runs = [
        hand.model("teacher", range(20)),
        hand.model("baseline", [*range(5), 30]),
        hand.model("baseline", [*range(5), 30], seed=1),
        hand.model("soft", range(40)),  # of the main part: it is not looked at
        hand.model("soft", [0, 5, 6, 10, 30], part="absent", unseen=unseen, loss=2.2),
        hand.model("soft", [], part="absent", unseen=unseen, seed=1, loss=2.3),
        hand.model("soft", [], part="absent", unseen=unseen, seed=2),  # no baseline of its seed
    ]
    lines = absent.rows(absent.absent(hand.study(*runs)))
    assert pairs(line(lines, "recited of what it saw, teacher").counts) == [(10, 10)] * 2
    assert pairs(line(lines, "recited of what it saw, student").counts) == [(3, 10), (0, 10)]
    assert pairs(line(lines, "T∩S∖B of T∖B, of what it saw").counts) == [(2, 5), (0, 5)]
    assert pairs(line(lines, "recited of what the teacher alone saw, teacher").counts) == [(10, 30)] * 2
    assert pairs(line(lines, "recited of what the teacher alone saw, baseline").counts) == [(1, 30)] * 2
    assert pairs(line(lines, "recited of what the teacher alone saw, student").counts) == [(2, 30), (0, 30)]
    assert pairs(line(lines, "T∩S∖B of T∖B, of what the teacher alone saw").counts) == [(1, 10), (0, 10)]
    assert line(lines, "held-out loss, student").measured.values == (2.2, 2.3)


def test_without_such_students_it_is_not_run(by_hand):
    hand = by_hand(range(3))
    assert absent.absent(hand.study(hand.model("teacher"), hand.model("soft"))) == ()
