"""Reports have rates and inheritance over the teacher set, and say how much of it was left out."""

from __future__ import annotations

from dataclasses import replace

from pytest_kdmem.auditing.figures.teacher_set import teacher_set_figures
from pytest_kdmem.auditing.teacher_sets import without
from pytest_kdmem.metrics.inheritance import compute_inheritance
from pytest_kdmem.metrics.memorization import Memorization
from tests.auditing.test_build_result import EMPTY, MEMORIZATIONS, SCORED, build


def over_teacher_set(memorization: Memorization) -> Memorization:
    return replace(memorization, other_set="teacher set", scores=without(memorization.scores, frozenset("d")))


OVER = {role: over_teacher_set(memorization) for role, memorization in MEMORIZATIONS.items()}
LABELLED = {each.label: each for each in OVER.values()}


def test_there_is_a_rate_of_each_model_and_the_inheritance_that_was_asked_for() -> None:
    scored = replace(
        SCORED, memorizations=MEMORIZATIONS | LABELLED, teacher_set_inheritance=compute_inheritance(**OVER)
    )
    figures = {(figure.label, figure.subject): figure for figure in teacher_set_figures(scored)}
    assert {key: (figure.estimate.k, figure.estimate.n) for key, figure in figures.items() if key[0] == "recited"} == {
        ("recited", "teacher"): (3, 3), ("recited", "baseline"): (1, 3), ("recited", "student"): (2, 3),
    }  # fmt: skip
    assert (figures["inheritance ratio", "student"].estimate.k, figures["reduction", "student"].estimate.value) == (
        1,
        0.5,
    )
    assert "1 of 4 distinct examples of train.jsonl are left out" in figures["recited", "student"].note
    result = build(scored)
    assert result.teacher_set is not None
    assert (result.teacher_set.distinct, result.teacher_set.in_training_set) == (3, 1)
    assert result.teacher_set.digest != result.training_set.digest
    assert [figure.key for figure in result.figures if figure.family == "teacher_set"] == list(
        dict.fromkeys(figure.key for figure in teacher_set_figures(scored))
    )


def test_without_a_teacher_set_there_is_none() -> None:
    for scored in (EMPTY, SCORED):
        assert teacher_set_figures(scored) == ()
        assert build(scored).teacher_set is None
