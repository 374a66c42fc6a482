"""Reports have a rate for each model and group, the groups of which the student recites most first."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pytest_kdmem.auditing.figures import groups
from pytest_kdmem.auditing.figures.groups import group_figures
from pytest_kdmem.corpus.groups import Groups
from pytest_kdmem.metrics.inheritance import compute_inheritance
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
    assert [each.note for each in figures] == ["", "1 further groups are not listed; none of them has a higher rate"]


def test_a_sample_says_how_its_bounds_hold_and_a_group_that_was_not_looked_at_comes_last() -> None:
    sampled = replace(
        memorization("student", "xyz", exhaustive=False),
        groups=Groups("licence", ("a", "b", "c"), np.array([0, 0, 0, 0, 2, 2, 1], np.int32)),
    )
    figures = group_figures(replace(SCORED, memorizations={"student": sampled}))
    assert [(each.label, each.estimate.k, each.estimate.n) for each in figures] == [
        ("c", 2, 2),
        ("a", 1, 4),
        ("b", 0, 0),
    ]
    assert [each.note for each in figures] == [
        "a random sample, in which 2 of 3 groups have an example; all bounds of one figure hold at once at 95.00%"
        " (Bonferroni)", "", "",
    ]  # fmt: skip


def test_inheritance_and_reduction_stand_behind_the_rates() -> None:
    models = {
        role: memorization(role, recited)
        for role, recited in (("teacher", "uvwx"), ("baseline", "uz"), ("student", "wz"))
    }
    inheritance = compute_inheritance(**models)
    figures = group_figures(replace(SCORED, memorizations=models, inheritance=inheritance))
    further = {each.label: each.estimate for each in figures if each.label not in "abc"}
    # Of b the teacher alone recites w and x, and the student w of these.
    assert (further["b, inheritance ratio"].k, further["b, inheritance ratio"].n) == (1, 2)
    assert further["c, reduction"].value == 1
    assert {label.partition(", ")[0] for label in further} == {"a", "b", "c"}
    elsewhere = replace(inheritance, comparable_on={"training set": "another"})
    assert len(group_figures(replace(SCORED, memorizations=models, inheritance=elsewhere))) == 9


def test_a_set_without_groups_and_another_set_have_none() -> None:
    elsewhere = replace(memorization("student", "xyz"), other_set="other.jsonl")
    assert group_figures(replace(SCORED, memorizations={elsewhere.label: elsewhere})) == ()
    assert group_figures(SCORED) == group_figures(EMPTY) == ()
