"""Answers by role, and rates of them."""

from __future__ import annotations

import pytest

from pytest_kdmem.errors import DataError
from pytest_kdmem.study.findings.asked import asked, rate_rows, role_rates
from tests.study.findings.asked_by_hand import answers, study_of
from tests.study.studies_by_hand import line, pairs


def test_models_are_asked_by_role_and_seed_and_on_policy_students_stand_beside_them(by_hand):
    models = [("teacher", 0), ("baseline", 0), ("baseline", 1), ("soft", 1), ("on-policy", 0)]
    (setting,) = asked(study_of(by_hand, *((*model, answers()) for model in models)))
    assert {role: list(by_seed) for role, by_seed in setting.answers.items()} == {
        "teacher": [0],
        "baseline": [0, 1],
        "soft": [1],
        "on-policy": [0],
    }
    assert len(setting.pairs("soft")) == len(setting.pairs("on-policy")) == 1
    assert setting.pairs("hard") == []


def test_without_answers_nothing_is_asked(by_hand):
    hand = by_hand(range(3))
    assert list(asked(hand.study(hand.model("teacher")))) == []


def test_answers_over_other_examples_are_refused(by_hand):
    study = study_of(by_hand, ("teacher", 0, answers()), ("soft", 0, answers(examples="other")))
    with pytest.raises(
        DataError, match="Answers over the same examples were expected of all models of pythia, fineweb"
    ):
        list(asked(study))


def test_students_vote_against_the_baseline_of_their_seed_and_others_against_the_floor(by_hand):
    study = study_of(
        by_hand,
        ("teacher", 0, answers(range(10), specific=range(20))),
        ("baseline", 0, answers(range(3), specific=range(10))),
        ("baseline", 1, answers(range(3), specific=range(4))),
        ("soft", 0, answers([], specific=[0])),
        ("soft", 1, answers([], specific=range(3))),
    )
    (setting,) = asked(study)
    rates = role_rates(
        setting, "specific", lambda each: each.specific, lambda each: ~each.memorized, lambda each: each.memorized
    )
    lines = rate_rows(rates)
    assert pairs(line(lines, "specific, baseline").counts) == [(10, 37), (4, 37)]
    assert pairs(line(lines, "specific, soft").counts) == [(1, 40), (3, 40)]
    # 9 of 9 differ one way for seed 0, 1 of 1 for seed 1; 10 of 10 of the teacher; 7 of 7 and 1 of 1 of the baselines.
    assert line(lines, "specific, soft").claim == "less than the baseline"
    assert [rate.votes for rate in rates] == [(1,), (1, 0), (1, 0)]
    assert line(lines, "specific, teacher").agreement == "agrees"
    assert line(lines, "specific, baseline").claim == "more than exactly"
