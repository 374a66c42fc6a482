"""Figures by group are those of counting row by row, and all groups are one gate."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from pytest_kdmem.corpus.groups import Groups
from pytest_kdmem.errors import ComparisonError, SpecError
from pytest_kdmem.metrics.inheritance import compute_inheritance
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.metrics.recorder import close_recorder, current_recorder, open_recorder
from tests.metrics.score_tables import memorization_from, row, too_short

GENERATOR = np.random.default_rng(3)
NAMES = GENERATOR.zipf(1.3, 400).clip(max=90).tolist()
CODES = GENERATOR.integers(0, 5, 400).astype(np.int32)
GROUPS = Groups("licence", ("a", "b", "c", "d", "(none)"), CODES)
RECITED = {"teacher": 60, "baseline": 20, "student": 30}


def memorization(role: str) -> Memorization:
    rows = [
        too_short("s") if name == 7 else row(str(name), memorized=name < RECITED[role], ambiguous=name % 9 == 0)
        for name in NAMES
    ]
    return replace(memorization_from(rows, subject=role), groups=GROUPS)


def members() -> dict[str, set[int]]:
    groups = defaultdict(set)
    for name, code in zip(NAMES, CODES.tolist(), strict=True):
        if name != 7:
            groups[GROUPS.names[code]].add(name)
    return groups


def test_rates_are_those_of_counting_and_a_copy_counts_in_each_of_its_groups() -> None:
    by_group, expected = memorization("student").by_group, members()
    assert set(by_group) == set(expected)
    assert sum(map(len, expected.values())) > len(set(NAMES))
    for group, subset in by_group.items():
        recited = [name for name in expected[group] if name < 30]
        assert (subset.rate.k, subset.rate.n) == (len(recited), len(expected[group]))
        possible = {*recited, *(name for name in expected[group] if name % 9 == 0)}
        assert subset.rate.high == len(possible) / len(expected[group])
        assert subset.rate.subject == f"student on licence {group}"


def test_a_group_counts_copies_of_what_is_too_short_in_the_whole_set() -> None:
    rows = [too_short("s"), too_short("s"), too_short("t"), row("a"), row("b"), row("c"), too_short("s")]
    groups = Groups("customer", ("acme", "brief", "delta"), np.array([0, 1, 0, 0, 1, 2, 0], np.int32))
    by_group = replace(memorization_from(rows, subject="student"), groups=groups).by_group
    rates = {name: (subset.rate.too_short, subset.rate.too_short_copies) for name, subset in by_group.items()}
    assert rates == {"acme": (3, 3), "brief": (1, 3), "delta": (0, 0)}
    # The closest group may be another one, and the gate is over all.
    rate = by_group.as_gate("<=", 0.5).estimate
    assert rate.too_short_copies == 3
    assert "one too short to look at stands 3 times" in str(rate)


def test_inheritance_by_group_is_that_of_counting() -> None:
    inheritance = compute_inheritance(*map(memorization, RECITED))
    for group, part in inheritance.by_group.items():
        inherited = [name for name in members()[group] if 20 <= name < 30]
        teachers = [name for name in members()[group] if 20 <= name < 60]
        assert (part.inherited, part.ratio.n) == (len(inherited), len(teachers))
        rates = [sum(name < RECITED[role] for name in members()[group]) for role in ("baseline", "student")]
        assert part.reduction.value == pytest.approx(rates[0] / rates[1])
        assert part.reduction.subject == f"student on licence {group}"
        assert set(part.inherited_examples) <= set(inheritance.inherited_examples)


def test_one_comparison_is_a_gate_over_all_groups() -> None:
    student, baseline, earlier = memorization("student"), memorization("baseline"), current_recorder()
    recorder = open_recorder()
    try:
        recorder.of_test = []
        assert baseline.by_group <= 0.99
        assert len(recorder.of_test) == 1
        recorder.of_test = []
        assert not student.by_group <= baseline.by_group
        assert 1 <= len(recorder.of_test) <= 5
        assert all(comparison.estimate.subject.startswith("student on licence ") for comparison in recorder.of_test)
    finally:
        close_recorder(recorder, earlier)


@pytest.mark.parametrize(
    "ask",
    [
        lambda student: student.by_group["x"],
        lambda student: compute_inheritance(*map(memorization, RECITED)).by_group["x"],
        lambda student: replace(student, groups=None).by_group,
        lambda student: replace(compute_inheritance(*map(memorization, RECITED)), memorizations=None).by_group,
        lambda student: student.loss,
        lambda student: student.extractable(n=0, p=0.5),
    ],
    ids=["group", "group of inheritance", "no groups", "no groups of inheritance", "verdicts alone", "no samples"],
)
def test_what_is_not_there_fails_a_test_that_catches_the_error(ask: Callable[[Memorization], object]) -> None:
    earlier, recorder = current_recorder(), open_recorder()
    try:
        recorder.of_test = []
        with pytest.raises(SpecError):
            ask(memorization("student"))
        assert [type(entry).__name__ for entry in recorder.of_test] == ["Refused"]
    finally:
        close_recorder(recorder, earlier)


def test_a_name_of_a_group_is_no_command_where_it_is_logged() -> None:
    name = "##[error]owned"
    own = {
        role: replace(memorization(role), groups=replace(GROUPS, names=(name, *GROUPS.names[1:]))) for role in RECITED
    }
    by_group, inherited = own["student"].by_group, compute_inheritance(**own).by_group
    assert name in by_group
    shown = [repr(by_group), repr(inherited), by_group[name].label, inherited[name].subject]
    assert all("owned" in text and "##[" not in text for text in shown)


def test_groups_that_are_not_the_same_and_other_values_are_refused() -> None:
    student = memorization("student")
    fewer = replace(student, groups=Groups("licence", ("a",), np.zeros(400, np.int32)))
    with pytest.raises(SpecError, match="same groups"):
        _ = student.by_group <= fewer.by_group
    with pytest.raises(ComparisonError, match="compare with a number"):
        _ = student.by_group <= "much"  # type: ignore[operator]
    with pytest.raises(SpecError, match="'x', and there are"):
        student.by_group["x"]


def test_without_a_column_there_are_no_groups() -> None:
    with pytest.raises(SpecError, match="group_column"):
        _ = memorization_from([row("a")]).by_group
