"""Soft, hard and on-policy students of one teacher."""

from __future__ import annotations

from pytest_kdmem.study.findings import on_policy
from tests.study.studies_by_hand import line, pairs


def test_the_three_kinds_stand_beside_each_other(by_hand):
    hand = by_hand(range(60))
    runs = [hand.model("teacher", range(40))]
    for seed in range(3):
        runs += [
            hand.model("baseline", range(10), seed=seed, loss=2.5),
            hand.model("soft", range(2), seed=seed, loss=2.4),
            hand.model("hard", range(15), seed=seed, loss=2.6),
        ]
    runs += [
        hand.model("on-policy", [0, 20, 50], part="on_policy", loss=2.3, seconds=7.0),
        hand.model("on-policy", [], part="on_policy", loss=2.3, seed=1, seconds=9.0),
    ]
    (result,) = on_policy.on_policy(hand.study(*runs))
    assert [(each.role, each.seeds) for each in result.students] == [
        ("soft", (0, 1, 2)),
        ("hard", (0, 1, 2)),
        ("on-policy", (0, 1)),
    ]
    lines = on_policy.rows((result,))
    assert pairs(line(lines, "recited, on-policy").counts) == [(3, 60), (0, 60)]
    assert pairs(line(lines, "T∩S∖B of T∖B, on-policy").counts) == [(1, 30), (0, 30)]
    assert pairs(line(lines, "T∩S∖B of T∖B, hard").counts) == [(5, 30)] * 3
    # Of seed 0, 9 against 2 differ: p = 2 · 67 / 2¹¹ = 0.065.
    assert line(lines, "recited, on-policy").agreement == "cannot be told at this n"
    assert line(lines, "recited, soft").agreement == "agrees"
    assert line(lines, "held-out loss, soft").agreement == "agrees"
    assert line(lines, "held-out loss, hard").agreement == "does not"
    assert line(lines, "held-out loss, on-policy").agreement == "cannot be told at this n"  # two seeds
    assert line(lines, "seconds of training, on-policy").measured.values == (7, 9)
    assert line(lines, "held-out loss, baseline").measured.values == (2.5,) * 3


def test_without_an_on_policy_student_it_is_not_run(by_hand):
    hand = by_hand(range(3))
    assert on_policy.on_policy(hand.study(hand.model("teacher"), hand.model("soft"))) == ()
