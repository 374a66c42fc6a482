"""Finding 4: zlib bytes and perplexity of easy examples against random ones."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pytest_kdmem.study.findings import cluster, forced
from tests.study.studies_by_hand import line


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


def test_not_run(by_hand):
    study = by_hand(range(6)).study()
    assert (cluster.cluster(study), cluster.points(study), forced.forced(study), forced.points(study)) == ((),) * 4
