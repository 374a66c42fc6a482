"""Groups are read once for all models of an audit, and groups without an example are told."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_kdmem.auditing.groups_of_sets import GroupsOfSets, looked_at_warnings
from pytest_kdmem.corpus.sources import fingerprint
from pytest_kdmem.errors import DataError, SpecError
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.specs.declared import TrainingSet
from tests.metrics.score_tables import memorization_from, row, too_short


@pytest.fixture
def data(tmp_path: Path) -> TrainingSet:
    rows = [{"text": name, "owner": owner} for name, owner in zip("abcd", ("x", "y", "x", None), strict=True)]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in rows))
    return TrainingSet(str(tmp_path / "a.jsonl"), group_column="owner")


def scored(data: TrainingSet, *, exhaustive: bool = True, short: str = "") -> Memorization:
    rows = [too_short(name) if name in short else row(name) for name in "abcd"]
    memorization = memorization_from(rows, exhaustive=exhaustive)
    return replace(memorization, scores=replace(memorization.scores, training_set=data))


def read(groups: GroupsOfSets, memorization: Memorization) -> Memorization:
    data = memorization.scores.training_set
    found = groups.of(memorization.scores, fingerprint(data) or "", offline=True)
    return replace(memorization, groups=found)


def test_groups_are_read_once_for_a_set_and_for_samples_as_well(data: TrainingSet) -> None:
    groups = GroupsOfSets()
    first = read(groups, scored(data)).groups
    assert first is not None
    assert (first.names, first.codes.tolist()) == (("x", "y", "(none)"), [0, 1, 0, 2])
    assert read(groups, scored(data)).groups is first
    assert read(groups, scored(replace(data, sample=2), exhaustive=False)).groups is not None


def test_a_set_without_a_column_has_none(data: TrainingSet) -> None:
    assert read(GroupsOfSets(), scored(replace(data, group_column=None))).groups is None


def test_a_set_that_changed_since_it_was_scored_is_refused(data: TrainingSet) -> None:
    with pytest.raises(DataError, match="was changed; audit it again"):
        GroupsOfSets().of(scored(data).scores, "another digest", offline=True)


def test_a_set_of_other_rows_is_refused(data: TrainingSet) -> None:
    memorization = memorization_from([row("a")])
    scores = replace(memorization.scores, training_set=data)
    with pytest.raises(SpecError, match="4 rows and 1 examples"):
        GroupsOfSets().of(scores, fingerprint(data) or "", offline=True)


def test_groups_of_which_no_example_was_looked_at_are_named(data: TrainingSet) -> None:
    groups = GroupsOfSets()
    assert looked_at_warnings(read(groups, scored(data))) == []
    assert looked_at_warnings(scored(data)) == []
    [warning] = looked_at_warnings(read(groups, scored(data, short="b")))
    assert "an example of 2 of 3 groups of column 'owner' was looked at, and none of" in warning
    assert "y" in warning.partition("none of")[2]
    assert warning.endswith("whose rows are all too short")
    [warning] = looked_at_warnings(read(groups, scored(replace(data, sample=3), exhaustive=False, short="d")))
    assert warning.endswith("--kdmem-stratify group draws some of each, or raise --kdmem-sample")
