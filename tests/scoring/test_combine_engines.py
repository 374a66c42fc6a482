"""Verdicts of one engine and columns of another: one table where they agree, an error where one must be wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from pytest_kdmem.engines.numerics import Numerics
from pytest_kdmem.errors import EngineError
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.scoring.combine_engines import combine_engines
from pytest_kdmem.scoring.score import score
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.scoring.table import schema_of
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.runtime import RunSettings

VLLM = Numerics("vllm", "cpu", "float32", "2", "5", "0.32.0")


@pytest.fixture(scope="module")
def tables(tiny, recited_rows, tmp_path_factory):
    """Real tables of one model, of verdicts and of all metrics: 40 rows, every other one recited, and a short one."""
    folder = tmp_path_factory.mktemp("both")
    ids = [row.tolist() for row in recited_rows[:40]]
    path = folder / "rows.jsonl"
    path.write_text("".join(f'{{"input_ids": {row}}}\n' for row in [*ids, ids[0][:20]]))
    verdicts, columns = (
        score(
            Model(str(tiny)),
            TrainingSet(str(path)),
            Extraction(50, 50, 100),
            ScoreStore(folder / metrics),
            settings=RunSettings(),
            metrics=metrics,
        )
        for metrics in ("verdict", "all")
    )
    return replace(verdicts, numerics=VLLM), columns


def changed(table, row, **cells):
    """A table with some cells of a row replaced."""
    rows = table.rows.to_pylist()
    rows[row] |= cells
    return replace(table, rows=pa.Table.from_pylist(rows, table.rows.schema))


def test_every_column_is_there_and_the_report_names_both(tables):
    verdicts, columns = tables
    combined = combine_engines(verdicts, columns)
    assert combined.rows.schema == schema_of("all")
    for name in ("memorized", "first_miss"):
        assert combined.rows[name].equals(verdicts.rows[name])
    for name in ("margin", "logprob", "nll", "entropy", "zlib_bytes", "digest", "status"):
        assert combined.rows[name].equals(columns.rows[name])
    assert combined.rows.slice(40)["ambiguous"].null_count == 1
    assert (combined.numerics.engine, combined.numerics.vllm) == ("vllm + transformers", "0.32.0")
    assert Memorization("student", combined).count == 20
    assert np.isfinite(Memorization("student", combined).perplexity)


@pytest.mark.parametrize("row", [0, 1])
def test_a_difference_outside_the_band_is_an_error(tables, row):
    verdicts, columns = tables
    hit = verdicts.rows["memorized"][row].as_py()
    flipped = changed(verdicts, row, memorized=not hit, first_miss=3 if hit else -1)
    with pytest.raises(EngineError, match=rf"differ on 1 of 41 examples \(first: example {row}, margin "):
        combine_engines(flipped, columns)


@pytest.mark.parametrize("row", [0, 1])
def test_a_difference_inside_the_band_is_ambiguous(tables, row):
    verdicts, columns = tables
    hit = verdicts.rows["memorized"][row].as_py()
    flipped = changed(verdicts, row, memorized=not hit, first_miss=3 if hit else -1)
    near = changed(columns, row, margin=verdicts.tolerance / 2 * (1 if hit else -1))
    combined = combine_engines(flipped, near)
    assert combined.rows["ambiguous"].to_pylist()[:40] == [position == row for position in range(40)]
    assert combined.rows["memorized"][row].as_py() is not hit
    # The gate's end counts it either way.
    assert Memorization("student", combined).rate.high >= 20 / 40


def test_what_the_engine_of_the_verdicts_calls_ambiguous_stays_so(tables):
    verdicts, columns = tables
    combined = combine_engines(changed(verdicts, 2, ambiguous=True), columns)
    assert combined.rows["ambiguous"].to_pylist()[:40] == [position == 2 for position in range(40)]


@pytest.mark.parametrize("scored_now", [(41, 0), (0, 41)])
def test_an_example_that_either_engine_scored_now_was_scored_now(tables, scored_now):
    verdicts, columns = (replace(table, scored_now=number) for table, number in zip(tables, scored_now, strict=True))
    assert combine_engines(verdicts, columns).scored_now == 41


def test_the_wider_band_holds(tables):
    verdicts, columns = tables
    wide = replace(verdicts, tolerance=1e9)
    assert combine_engines(wide, columns).tolerance == 1e9
    assert combine_engines(wide, columns).rows["ambiguous"].to_pylist()[:40] == [True] * 40


def test_tables_of_different_examples_are_refused(tables):
    verdicts, columns = tables
    other = changed(verdicts, 3, digest="0" * 32)
    with pytest.raises(EngineError, match="changed between their runs"):
        combine_engines(other, columns)
    with pytest.raises(EngineError, match="changed between their runs"):
        combine_engines(replace(verdicts, rows=verdicts.rows.slice(1)), columns)
