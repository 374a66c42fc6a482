"""Finding 4: easy examples, with sets written out here."""

from __future__ import annotations

import pytest

from pytest_kdmem.study.findings import easy
from tests.study.studies_by_hand import line, overlapping_study, pairs


def test_easy(by_hand):
    study = overlapping_study(by_hand)
    (result,) = easy.easy(study)
    assert pairs(result.of_student) == [(6, 9), (8, 8)]
    assert result.left_out == (4, 2)
    share = line(easy.rows((result,)), "T∩B∩S of S")
    assert share.measured.mean == pytest.approx((6 / 9 + 1) / 2)
    assert (share.published, share.agreement) == (0.957, "cannot be told at this n")  # 6 of 9 could be half


def test_an_empty_student_has_no_easy_share(by_hand):
    hand = by_hand(range(9))
    share = line(
        easy.rows(easy.easy(hand.study(hand.model("teacher"), hand.model("baseline"), hand.model("soft")))),
        "T∩B∩S of S",
    )
    assert (share.measured.mean, share.agreement) == (None, "cannot be told at this n")
    assert pairs(share.counts) == [(0, 0)]
