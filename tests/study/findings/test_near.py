"""What is recited nearly, beside what is recited exactly."""

from __future__ import annotations

import pytest

from pytest_kdmem.study.findings import near
from tests.study.findings.asked_by_hand import answers, study_of
from tests.study.studies_by_hand import line, pairs


def test_near_rates_and_their_quotient(by_hand):
    edits, in_a_row = "within 0.1 edits a token", "20 tokens in a row"
    study = study_of(
        by_hand,
        ("baseline", 0, answers(range(4), near={edits: range(12), in_a_row: range(5)})),
        ("baseline", 1, answers(range(5), near={edits: range(12), in_a_row: range(5)})),
        ("soft", 0, answers([], near={edits: [0], in_a_row: []})),
        ("soft", 1, answers([0], near={edits: range(9), in_a_row: []})),
    )
    (result,) = near.near(study)
    lines = near.rows((result,))
    assert pairs(line(lines, "recited exactly, baseline").counts) == [(4, 40), (5, 40)]
    baseline = line(lines, f"recited {edits}, baseline")
    assert pairs(baseline.counts) == [(12, 40), (12, 40)]
    assert (baseline.claim, baseline.agreement) == ("more than exactly", "agrees")
    assert line(lines, f"recited {in_a_row}, baseline").agreement == "cannot be told at this n"
    # Of seed 1 only 3 of 3 differ.
    assert line(lines, f"recited {edits}, soft").agreement == "cannot be told at this n"
    quotient = line(lines, f"recited {edits} / exactly, baseline")
    assert quotient.measured.values == (3, 2.4)
    assert quotient.published == pytest.approx(1.658, abs=1e-3)
    assert line(lines, f"recited {edits} / exactly, soft").measured.values == (None, 9)
    assert line(lines, f"recited {in_a_row} / exactly, baseline").published is None
