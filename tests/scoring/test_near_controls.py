"""Controls that are nearly the same as text of a training set are those of comparing all, and are stored."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pytest_kdmem.scoring import near_controls as module
from pytest_kdmem.scoring.near_controls import near_controls
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.scoring.table import ScoreTable
from tests.scoring.test_exchangeability import written

Sets = tuple[tuple[ScoreTable, list[str]], tuple[ScoreTable, list[str]]]


def runs(ids: np.ndarray) -> set[tuple[int, ...]]:
    return {tuple(ids[at : at + 5].tolist()) for at in range(len(ids) - 4)}


@pytest.fixture
def rows() -> tuple[np.ndarray, np.ndarray]:
    """A training set, and controls of which some are rows of it with one to three of their tokens changed."""
    generator = np.random.default_rng(0)
    text = generator.integers(1, 90, (60, 20)).astype(np.int32)
    controls = text.copy()
    controls[40:] = generator.integers(1, 90, (20, 20))
    for at in range(40):
        controls[at, : at % 3 + 1] = 1 + (controls[at, : at % 3 + 1] + 5) % 90
    return text, controls


@pytest.fixture
def sets(rows: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> Sets:
    (members, member_digests), (controls, control_digests) = (
        written(tmp_path, name, ids) for name, ids in zip(("train", "control"), rows, strict=True)
    )
    known = [
        replace(table, record=replace(table.record, read_as=f"digest {at}"))
        for at, table in enumerate((members, controls))
    ]
    return (known[0], member_digests), (known[1], control_digests)


def test_they_are_those_of_comparing_all_and_are_stored(
    sets: Sets, rows: tuple[np.ndarray, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (members, member_digests), (controls, control_digests) = sets
    expected: tuple[set[str], set[str]] = (set(), set())
    for member, digest in zip(rows[0], member_digests, strict=True):
        for control, other in zip(rows[1], control_digests, strict=True):
            first, second = runs(member), runs(control)
            if digest != other and len(first & second) / len(first | second) >= 0.8:
                expected[0].add(digest)
                expected[1].add(other)
    assert 0 < len(expected[1]) < 40
    store = ScoreStore(tmp_path / "store")
    found = near_controls(members, controls, control_digests, store)
    assert (found.members, found.controls) == expected
    some = control_digests[:10]
    assert near_controls(members, controls, some, store).controls == expected[1] & set(some)
    monkeypatch.setattr(module, "stream_examples", None)
    assert near_controls(members, controls, control_digests[::-1], ScoreStore(tmp_path / "store")) == found


def test_what_is_stored_and_no_outcome_is_searched_again(sets: Sets, tmp_path: Path) -> None:
    (members, _), (controls, digests) = sets
    store = ScoreStore(tmp_path / "store")
    found = near_controls(members, controls, digests, store)
    [entry] = (tmp_path / "store/overlaps").glob("*.json")
    for stored in ({}, {"members": [], "controls": ["other"]}, {"members": [1], "controls": []}, {"members": []}):
        store.write_entry("overlaps", entry.stem, stored)
        assert near_controls(members, controls, digests, store) == found


def test_sets_of_which_no_digest_is_known_are_read_each_time(sets: Sets, tmp_path: Path) -> None:
    (members, _), (controls, digests) = sets
    unknown = replace(members, record=replace(members.record, read_as=""))
    assert near_controls(unknown, controls, digests, ScoreStore(tmp_path / "store")).controls
    assert not (tmp_path / "store/overlaps").exists()
