"""Finding 10: soft against hard students, with sets written out here."""

from __future__ import annotations

from pytest_kdmem.study.findings import hard
from tests.study.studies_by_hand import line, pairs


def test_soft_against_hard(by_hand):
    # T∖B = 10–39. S = 0–7, 10, 11; H = 0–5, 10–19, 50.
    hand = by_hand(range(60))
    runs = [
        hand.model("teacher", range(40)),
        hand.model("baseline", range(10)),
        hand.model("soft", [*range(8), 10, 11]),
        hand.model("hard", [*range(6), *range(10, 20), 50]),
    ]
    (result,) = hard.soft_against_hard(hand.study(*runs))
    (seed,) = result.seeds
    assert pairs([seed.soft, seed.hard]) == [(10, 60), (17, 60)]
    assert pairs([seed.shared, seed.hard_easy]) == [(8, 17), (6, 17)]
    assert pairs([seed.soft_inherited, seed.hard_inherited]) == [(2, 30), (10, 30)]
    assert seed.inherited_quotient == 5.0
    lines = hard.rows((result,))
    # Within T∖B 8 of 8 differ one way (p = 2⁻⁷); over all 9 against 2 do (p = 2 · 67 / 2¹¹ = 0.065).
    assert line(lines, "T∩H∖B of T∖B").agreement == "agrees"
    assert line(lines, "memorized, hard").agreement == "cannot be told at this n"
    assert line(lines, "inherited, hard / soft").published == 2.7


def test_soft_that_inherits_nothing_has_no_quotient(by_hand):
    hand = by_hand(range(60))
    runs = [hand.model("teacher", range(40)), hand.model("baseline"), hand.model("soft"), hand.model("hard", [1])]
    (result,) = hard.soft_against_hard(hand.study(*runs))
    assert result.seeds[0].inherited_quotient is None
    assert result.seeds[0].shared.value == 0
