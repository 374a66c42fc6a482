"""Secrets by class."""

from __future__ import annotations

from pytest_kdmem.study.findings import secrets
from tests.study.findings.asked_by_hand import answers, study_of
from tests.study.studies_by_hand import line, pairs


def test_of_each_class_the_recited_share_of_what_holds_one(by_hand):
    holds = {"email": range(8), "key": []}
    study = study_of(
        by_hand,
        ("teacher", 0, answers([0, 1, 20], secrets=holds)),
        ("baseline", 0, answers(range(8), secrets=holds)),
        ("soft", 0, answers([30], secrets=holds)),
    )
    lines = secrets.rows(secrets.secrets(study))
    assert pairs(line(lines, "recited, of those with email, teacher").counts) == [(2, 8)]
    assert pairs(line(lines, "recited, of those with email, soft").counts) == [(0, 8)]
    assert line(lines, "recited, of those with email, soft").agreement == "agrees"
    assert pairs(line(lines, "recited, of those with key, teacher").counts) == [(0, 0)]
    assert line(lines, "recited, of those with key, teacher").measured.mean is None
