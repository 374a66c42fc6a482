"""Finding 5: sets of different families, compared by document."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_kdmem.study.findings import families
from tests.study.studies_by_hand import line


def test_families_compare_by_document(by_hand):
    # Documents 0 and 1 stand twice; 2 is too short for the second family alone.
    first, second = by_hand([*range(10), 0, 1]), by_hand([*range(10), 0, 1], too_short=[2])
    zlib = {document: 100 + 10 * document for document in range(10)}
    bent = {document: 50 + document**2 for document in range(10)}
    second_family = {"part": "families", "family": "qwen3"}
    runs = [
        first.model("teacher", [0, 1, 2, 3, 9]),
        first.model("baseline", [0, 1, 9], zlib_bytes=zlib),
        first.model("baseline", [5], seed=1),
        first.model("soft", [0]),
        second.model("teacher", [0, 1, 3, 4], **second_family),
        second.model("baseline", [0, 4], zlib_bytes=bent, **second_family),
        second.model("soft", [1], **second_family),
    ]
    (pair,) = families.families(first.study(*runs))
    assert (pair.first, pair.second, pair.seed, pair.documents) == ("pythia", "qwen3", 0, 9)
    assert {role: (share.k, share.n) for role, share in pair.overlap.items()} == {
        "teacher": (3, 5),
        "baseline": (1, 4),
        "soft": (0, 2),
    }
    assert {role: (share.k, share.n) for role, share in pair.overlap_once.items()} == {
        "teacher": (1, 3),
        "baseline": (0, 2),
        "soft": (0, 0),
    }
    x = np.array([0.0, 1, 3, 4, 5, 6, 7, 8, 9])
    x, y = x - x.mean(), x**2 - (x**2).mean()
    expected = (x * y).sum() / np.sqrt((x**2).sum() * (y**2).sum())
    assert pair.zlib_r == pytest.approx(expected)
    lines = families.rows((pair,))
    assert line(lines, "Pearson r of zlib bytes").agreement == "agrees"
    assert line(lines, "Pearson r of zlib bytes").published == 0.95
    assert line(lines, "documents memorized by both, of those by either, soft").published == 0


def test_families_without_variation_have_no_correlation(by_hand):
    hand = by_hand(range(5))
    roles = ("teacher", "baseline", "soft")
    runs = [hand.model(role) for role in roles]
    runs += [hand.model(role, part="families", family="olmo2") for role in roles]
    (pair,) = families.families(hand.study(*runs))
    assert (pair.zlib_r, pair.zlib_p_value) == (None, None)
    correlation = line(families.rows((pair,)), "Pearson r of zlib bytes")
    assert (correlation.measured.mean, correlation.agreement) == (None, "cannot be told at this n")
