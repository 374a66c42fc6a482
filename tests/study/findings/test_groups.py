"""Findings 4 and 8: metrics of groups of examples against others."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pytest_kdmem.study.findings import cluster, forced


def line(lines, figure):
    (matching,) = (each for each in lines if each.figure == figure)
    return matching


def test_the_easy_set_against_random_examples(by_hand):
    # The easy set is 0–4; all of the 25 others are drawn.
    hand = by_hand(range(30))
    zlib = {document: 10 + document for document in range(5)} | {
        document: 100 + 4 * document for document in range(5, 30)
    }
    nll = {document: 0.1 * (1 + document) for document in range(30)}
    runs = [
        hand.model("teacher", range(9)),
        hand.model("baseline", range(7), zlib_bytes=zlib, nll=nll),
        hand.model("soft", [*range(5), 20], nll=dict.fromkeys(range(30), 9.0)),
    ]
    (result,) = cluster.cluster(hand.study(*runs))
    (contrast,) = result.zlib_bytes
    assert (contrast.easy.n, contrast.random.n) == (5, 25)
    assert (contrast.easy.lower, contrast.easy.median, contrast.easy.upper) == (11, 12, 13)
    assert contrast.random.median == 100 + 4 * 17
    assert contrast.u == 0  # no easy example above any other
    assert contrast.variance_ratio == pytest.approx(2.5 / np.var(4.0 * np.arange(25), ddof=1))
    (contrast,) = result.perplexity
    assert contrast.easy.median == pytest.approx(math.exp(0.3), rel=1e-6)
    assert contrast.variance_ratio == pytest.approx(0.025 / np.var(0.1 * np.arange(25), ddof=1), rel=1e-5)
    lines = cluster.rows((result,))
    assert line(lines, "median zlib bytes, easy").agreement == "agrees"
    assert line(lines, "median baseline perplexity, easy").agreement == "agrees"


def test_an_easy_set_that_lies_higher_does_not_agree(by_hand):
    hand = by_hand(range(30))
    zlib = {document: 500 - document for document in range(30)}
    runs = [hand.model(role, range(6), zlib_bytes=zlib) for role in ("teacher", "baseline", "soft")]
    (result,) = cluster.cluster(hand.study(*runs))
    assert line(cluster.rows((result,)), "median zlib bytes, easy").agreement == "does not"


def test_an_empty_easy_set_is_undefined(by_hand):
    hand = by_hand(range(9))
    runs = [hand.model("teacher", [1, 2]), hand.model("baseline", [3]), hand.model("soft")]
    (result,) = cluster.cluster(hand.study(*runs))
    (contrast,) = result.zlib_bytes
    assert (contrast.easy.median, contrast.u, contrast.p_value, contrast.variance_ratio) == (None,) * 4
    assert contrast.random.median == 100
    assert line(cluster.rows((result,)), "median zlib bytes, easy").agreement == "cannot be told at this n"
    assert line(cluster.rows((result,)), "median zlib bytes, easy").measured.mean is None


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


def test_not_run(by_hand):
    study = by_hand(range(6)).study()
    assert (cluster.cluster(study), cluster.points(study), forced.forced(study), forced.points(study)) == ((),) * 4
