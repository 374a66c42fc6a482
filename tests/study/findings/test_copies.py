"""Rates and inheritance by tiers of copies."""

from __future__ import annotations

import numpy as np

from pytest_kdmem.study.findings import copies
from tests.study.findings.asked_by_hand import N, answers, study_of
from tests.study.studies_by_hand import line, pairs

# 0–9 stand 16 times, 10–19 twice, the others once.
COPIES = np.repeat([16, 2, 1, 1], N // 4).astype(np.int64)


def test_rates_inheritance_and_mean_copies_by_tier(by_hand):
    study = study_of(
        by_hand,
        ("teacher", 0, answers([*range(8), *range(10, 14), 30], copies=COPIES)),
        ("baseline", 0, answers(range(3), copies=COPIES)),
        ("soft", 0, answers([3, 4, 10, 39], copies=COPIES)),
        ("hard", 1, answers([], copies=COPIES)),
    )
    (result,) = copies.by_copies(study)
    lines = copies.rows((result,))
    assert pairs(line(lines, "recited, 16+ ×, teacher").counts) == [(8, 10)]
    assert pairs(line(lines, "recited, 2-3 ×, teacher").counts) == [(4, 10)]
    assert pairs(line(lines, "recited, 1 ×, teacher").counts) == [(1, 20)]
    assert pairs(line(lines, "recited, 1 ×, soft").counts) == [(1, 20)]
    # T∖B: 3–7, 10–13, 30. The hard student's seed has no baseline.
    assert pairs(line(lines, "T∩S∖B of T∖B, 16+ ×, soft").counts) == [(2, 5)]
    assert pairs(line(lines, "T∩S∖B of T∖B, 2-3 ×, soft").counts) == [(1, 4)]
    assert pairs(line(lines, "T∩S∖B of T∖B, 1 ×, soft").counts) == [(0, 1)]
    assert not any("T∩S∖B" in each.figure and "hard" in each.figure for each in lines)
    teacher = line(lines, "mean copies of what is recited, teacher")
    assert teacher.measured.values == ((8 * 16 + 4 * 2 + 1) / 13,)
    assert teacher.agreement == "agrees"
    assert line(lines, "mean copies of what is recited, hard").measured.values == (None,)
    assert line(lines, "mean copies of what is recited, hard").agreement == "cannot be told at this n"


def test_what_is_recited_of_few_copies_votes_against(by_hand):
    study = study_of(by_hand, ("teacher", 0, answers(range(20, 40), copies=COPIES)))
    lines = copies.rows(copies.by_copies(study))
    assert line(lines, "mean copies of what is recited, teacher").agreement == "does not"


def test_without_repeats_there_are_no_tiers(by_hand):
    assert copies.by_copies(study_of(by_hand, ("teacher", 0, answers([1])))) == ()
