"""What sampling finds beside greedy decoding."""

from __future__ import annotations

from pytest_kdmem.study.findings import sampling
from tests.study.findings.asked_by_hand import answers, study_of
from tests.study.studies_by_hand import line, pairs


def test_each_sampler_has_rates_that_vote_against_greedy_decoding(by_hand):
    study = study_of(
        by_hand,
        ("teacher", 0, answers(range(10), extractable={"at T = 1": range(2, 10), "at top-k 40": range(20)})),
        ("baseline", 0, answers(range(10), extractable={"at T = 1": range(2), "at top-k 40": range(20)})),
        ("soft", 0, answers([], extractable={"at T = 1": [], "at top-k 40": [0]})),
    )
    lines = sampling.rows(sampling.sampling(study))
    assert pairs(line(lines, "(100, 0.5)-extractable at T = 1, teacher").counts) == [(8, 40)]
    assert line(lines, "(100, 0.5)-extractable at T = 1, teacher").agreement == "cannot be told at this n"
    assert line(lines, "(100, 0.5)-extractable at T = 1, baseline").agreement == "does not"
    assert line(lines, "(100, 0.5)-extractable at top-k 40, teacher").agreement == "agrees"
    assert line(lines, "(100, 0.5)-extractable at T = 1, soft").agreement == "cannot be told at this n"
    assert line(lines, "(100, 0.5)-extractable at top-k 40, soft").agreement == "agrees"
