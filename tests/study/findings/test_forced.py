"""Finding 8: entropy and log-probability of the examples that only teacher and baseline memorized."""

from __future__ import annotations

import pytest

from pytest_kdmem.study.findings import forced
from tests.study.studies_by_hand import line


def forced_study(hand, *, student_logprob):
    """T∩B∖S = 0–9, T∖B = 10–14; the rest is random."""
    step = {document: 0.01 * document for document in range(40)}

    def values(group, rest):
        return {document: (group if document < 10 else rest) + step[document] for document in range(40)}

    return hand.study(
        hand.model("teacher", range(15), entropy=values(0.1, 0.5), logprob=values(-1.0, -20.0)),
        hand.model("baseline", range(10), entropy=values(1.5, 3.0), logprob=values(-4.0, -60.0)),
        hand.model("soft", entropy=values(2.0, 3.0), logprob=values(student_logprob, -60.0)),
    )


def test_forced_memorization(by_hand):
    (result,) = forced.forced(forced_study(by_hand(range(40)), student_logprob=-30.0))
    assert {each.group: each.n for each in result.groups} == {"T∩B∖S": 10, "T∖B": 5, "random": 25}
    baseline = result.of("T∩B∖S", "baseline")
    assert (baseline.entropy, baseline.logprob) == pytest.approx((1.5 + 0.045, -4 + 0.045), rel=1e-5)
    assert result.of("T∖B", "teacher").entropy == pytest.approx(0.5 + 0.12, rel=1e-5)
    assert result.of("random", "soft").logprob == pytest.approx(-60 + 0.27, rel=1e-5)
    votes = (result.unsure_baseline, result.sure_of_target, result.unsure_student, result.unlikely_student)
    assert votes == (1, 1, 1, 1)
    lines = forced.rows((result,))
    assert line(lines, "suffix log-probability, soft, T∩B∖S").agreement == "agrees"
    assert line(lines, "suffix log-probability, soft, T∖B").agreement is None


def test_a_student_that_finds_it_likelier_does_not_agree(by_hand):
    result = forced.forced(forced_study(by_hand(range(40)), student_logprob=-2.0))
    assert line(forced.rows(result), "suffix log-probability, soft, T∩B∖S").agreement == "does not"


def test_groups_of_nothing_are_undefined(by_hand):
    hand = by_hand(range(6))
    (result,) = forced.forced(hand.study(hand.model("teacher"), hand.model("baseline"), hand.model("soft")))
    assert [(each.n, each.entropy) for each in result.groups if each.group != "random"] == [(0, None)] * 6
    entropy = line(forced.rows((result,)), "suffix entropy, baseline, T∩B∖S")
    assert (entropy.measured.mean, entropy.agreement) == (None, "cannot be told at this n")
    assert result.of("random", "teacher").entropy == 2.0
