"""Which rows of a score table the engine checks are run on."""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_kdmem.scoring import check_sample
from pytest_kdmem.scoring.check_sample import CheckSample, Expected, choose_sample, without_screened_margins
from pytest_kdmem.scoring.table import SCHEMA

ROWS = st.lists(st.tuples(st.integers(0, 60), st.booleans(), st.booleans(), st.booleans()), min_size=1, max_size=300)


def table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist([{"status": "scored", **row} for row in rows], SCHEMA)


def row(
    position: int, *, memorized: bool, ambiguous: bool = False, digest: str = "", margin: float | None = 1.0
) -> dict[str, Any]:
    return {
        "example_id": position,
        "digest": digest or f"{position:032x}",
        "memorized": memorized,
        "ambiguous": ambiguous,
        "margin": margin,
    }


def first_ambiguous_or_first(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The row that stands for each digest."""
    chosen: dict[str, dict[str, Any]] = {}
    for candidate in rows:
        if candidate.get("status") == "too_short":
            continue
        current = chosen.setdefault(candidate["digest"], candidate)
        if candidate["ambiguous"] and not current["ambiguous"]:
            chosen[candidate["digest"]] = candidate
    return chosen


@given(ROWS, st.integers(0, 5))
def test_all_ambiguous_rows_and_as_many_of_either_verdict_are_chosen_once_each(generated, seed):
    """``generated``: digest, verdict, ambiguous and too short of each row."""
    rows = [
        {"example_id": position, "digest": str(digest), "status": "too_short"}
        if too_short
        else row(position, memorized=memorized, ambiguous=ambiguous, digest=str(digest))
        for position, (digest, memorized, ambiguous, too_short) in enumerate(generated)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(check_sample, "CONTROL_SAMPLE", 5)
        sample = choose_sample(table(rows), seed=seed)
        assert choose_sample(table(rows), seed=seed) == sample
    distinct = first_ambiguous_or_first(rows)
    assert sample.examples == len(distinct)
    ids = [expected.example_id for expected in sample.rows]
    assert ids == sorted(set(ids))
    for expected in sample.rows:
        source = distinct[expected.digest]
        assert expected == Expected(
            source["example_id"], expected.digest, source["memorized"], source["ambiguous"], 1.0
        )
    ambiguous_rows = sum(source["ambiguous"] for source in distinct.values())
    assert sample.ambiguous == ambiguous_rows == sum(expected.ambiguous for expected in sample.rows)
    for verdict in (True, False):
        available = [
            source for source in distinct.values() if source["memorized"] is verdict and not source["ambiguous"]
        ]
        sure = [expected for expected in sample.rows if expected.memorized is verdict and not expected.ambiguous]
        assert len(sure) == min(5, len(available))


def test_another_seed_chooses_other_rows_and_every_row_can_be_chosen():
    rows = table([row(position, memorized=False) for position in range(200)])
    chosen = [{expected.example_id for expected in choose_sample(rows, seed=seed).rows} for seed in range(30)]
    assert all(len(ids) == 64 for ids in chosen)
    assert chosen[0] != chosen[1]
    assert chosen[0] == {expected.example_id for expected in choose_sample(rows, seed=0).rows}
    assert set().union(*chosen) == set(range(200))


def test_of_very_many_ambiguous_rows_a_sample_is_chosen_and_all_are_counted(monkeypatch):
    monkeypatch.setattr(check_sample, "AMBIGUOUS_SAMPLE", 7)
    rows = table([row(position, memorized=False, ambiguous=True) for position in range(50)])
    sample = choose_sample(rows, seed=3)
    assert (sample.ambiguous, len(sample.rows)) == (50, 7)


def test_margins_that_are_not_finite_count_as_unknown():
    margins = (None, math.nan, -math.inf, -2.0)
    rows = [row(position, memorized=False, margin=margin) for position, margin in enumerate(margins)]
    assert [expected.margin for expected in choose_sample(table(rows), seed=0).rows] == [None, None, None, -2.0]


def test_of_a_screened_run_only_margins_within_its_band_are_known():
    margins = (None, 0.5, -0.5, 0.75, -4.0, 0.0)
    expected = [Expected(at, f"{at}", margin == 0.75, margin == 0.0, margin) for at, margin in enumerate(margins)]
    sample = without_screened_margins(CheckSample(tuple(expected), examples=90, ambiguous=7), band=0.5)
    assert [row.margin for row in sample.rows] == [None, 0.5, -0.5, None, None, 0.0]
    assert [(row.example_id, row.digest, row.memorized, row.ambiguous) for row in sample.rows] == [
        (row.example_id, row.digest, row.memorized, row.ambiguous) for row in expected
    ]
    assert (sample.examples, sample.ambiguous) == (90, 7)
