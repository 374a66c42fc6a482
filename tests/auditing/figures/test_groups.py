"""Reports have a rate for each model and group of a whole set, the groups of which the student recites most first."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pytest_kdmem.auditing.figures import groups
from pytest_kdmem.auditing.figures.groups import group_figures
from pytest_kdmem.corpus.groups import Groups
from tests.auditing.test_build_result import EMPTY, SCORED
from tests.metrics.score_tables import memorization_from, row

# Of groups c, b and a the student recites 2 of 2, 1 of 2 and none of 2.
GROUPS = Groups("licence", ("a", "b", "c"), np.array([0, 0, 1, 1, 2, 2], np.int32))


def memorization(role: str, recited: str, **options: Any) -> Any:
    rows = [row(digest, memorized=digest in recited) for digest in "uvwxyz"]
    return replace(memorization_from(rows, subject=role, **options), groups=GROUPS)


def test_the_groups_of_which_the_student_recites_most_come_first_for_every_model() -> None:
    models = {"teacher": memorization("teacher", "uv"), "student": memorization("student", "xyz")}
    figures = group_figures(replace(SCORED, memorizations=models))
    assert [(each.subject, each.label, each.estimate.k) for each in figures] == [
        ("teacher", "c", 0), ("teacher", "b", 0), ("teacher", "a", 2),
        ("student", "c", 2), ("student", "b", 1), ("student", "a", 0),
    ]  # fmt: skip
    assert not any(each.note for each in figures)


def test_groups_beyond_the_most_are_counted_in_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "MOST_GROUPS", 2)
    figures = group_figures(replace(SCORED, memorizations={"student": memorization("student", "xyz")}))
    assert [each.label for each in figures] == ["c", "b"]
    assert [each.note for each in figures] == ["", "1 further groups, of which no more is recited, are not listed"]


def test_a_set_without_groups_a_sample_and_another_set_have_none() -> None:
    sampled = memorization("student", "xyz", exhaustive=False)
    elsewhere = replace(memorization("student", "xyz"), other_set="other.jsonl")
    for models in ({"student": sampled}, {elsewhere.label: elsewhere}):
        assert group_figures(replace(SCORED, memorizations=models)) == ()
    assert group_figures(SCORED) == group_figures(EMPTY) == ()
