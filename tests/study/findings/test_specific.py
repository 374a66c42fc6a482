"""Specific and common examples."""

from __future__ import annotations

from pytest_kdmem.study.findings import specific
from tests.study.findings.asked_by_hand import answers, study_of
from tests.study.studies_by_hand import line, pairs


def test_specific_rates_and_common_shares(by_hand):
    study = study_of(
        by_hand,
        ("teacher", 0, answers(range(20), specific=range(2))),
        ("baseline", 0, answers(range(20), specific=range(18))),
        ("soft", 0, answers([], specific=[])),
    )
    lines = specific.rows(specific.specific(study))
    assert pairs(line(lines, "specific, teacher").counts) == [(2, 40)]
    assert pairs(line(lines, "common of recited, teacher").counts) == [(18, 20)]
    assert line(lines, "common of recited, teacher").agreement == "agrees"
    assert line(lines, "common of recited, baseline").agreement == "does not"
    assert line(lines, "common of recited, soft").measured.mean is None
    assert line(lines, "common of recited, soft").agreement == "cannot be told at this n"
    assert line(lines, "specific, soft").agreement == "agrees"
