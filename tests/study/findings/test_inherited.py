"""Findings 3 and 4: inherited and easy examples, with sets written out here."""

from __future__ import annotations

import pytest

from pytest_kdmem.study.findings import easy, families, hard, inherited, stability, temperature
from tests.study.studies_by_hand import line, overlapping_study, pairs


def test_inherited(by_hand):
    study = overlapping_study(by_hand)
    (result,) = inherited.inherited(study)
    assert pairs(result.of_teacher_only) == [(1, 40), (0, 40)]
    cells = {"teacher": 39, "baseline": 4, "student": 1, "teacher+baseline": 4, "teacher+student": 1}
    assert result.cells[0] == cells | {"baseline+student": 1, "all": 6, "none": 80 - 56}
    lines = inherited.rows((result,))
    ratio = line(lines, "T∩S∖B of T∖B")
    assert ratio.measured.mean == pytest.approx(1 / 80)
    assert (ratio.published, ratio.agreement) == (0.009, "cannot be told at this n")  # 1 of 40 could be a tenth
    assert line(lines, "T∖B").published == 1955


def test_sets_of_nothing_are_undefined(by_hand):
    hand = by_hand(range(9))
    study = hand.study(hand.model("teacher"), hand.model("baseline"), hand.model("soft"))
    ratio = line(inherited.rows(inherited.inherited(study)), "T∩S∖B of T∖B")
    assert (ratio.measured.mean, ratio.agreement) == (None, "cannot be told at this n")
    assert pairs(ratio.counts) == [(0, 0)]


def test_without_a_teacher_nothing_is_run(by_hand):
    hand = by_hand(range(9))
    study = hand.study(hand.model("baseline"), hand.model("soft"))
    for find in (inherited.inherited, easy.easy, hard.soft_against_hard, families.families, temperature.temperature):
        assert find(study) == ()
    assert not stability.stability(study)
