"""What a run leaves open is read once, at its first copy; what is stored is neither read nor scored again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pytest_kdmem.base.progress import NO_PROGRESS
from pytest_kdmem.corpus.shards import Shard
from pytest_kdmem.errors import KdmemError
from pytest_kdmem.scoring import chosen_run
from pytest_kdmem.scoring.beside import job_beside, key_beside
from pytest_kdmem.scoring.chosen_run import ChosenRun, examples_at
from pytest_kdmem.scoring.sampled import SampledTask
from pytest_kdmem.scoring.score import score
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.scoring.table import ScoreTable
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.runtime import RunSettings
from pytest_kdmem.specs.sampler import Sampler

# Rows 0 and 4 are copies, as are 3 and 5.
ORDER = [0, 1, 2, 3, 0, 3, 4, 5]


@pytest.fixture
def scores(tmp_path: Path, tiny: Path, recited_ids: Callable[..., np.ndarray]) -> ScoreTable:
    np.save(tmp_path / "data.npy", recited_ids(tiny, examples=6, prefix=8, suffix=8)[ORDER])
    settings = RunSettings(device="cpu", accept_reading="noise")
    store = ScoreStore(tmp_path / "store")
    return score(Model(tiny), TrainingSet(tmp_path / "data.npy"), Extraction(8, 8, 16), store, settings=settings)


@pytest.fixture
def run(scores: ScoreTable, tmp_path: Path) -> ChosenRun:
    job = job_beside(scores, RunSettings(device="cpu"))
    task = SampledTask(job, (Sampler(1.0),))
    key = key_beside(job, scores, "a test")
    return ChosenRun(scores, task, (key,), ScoreStore(tmp_path / "beside"), NO_PROGRESS, "chosen")


def chosen(*rows: int) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array([row in rows for row in range(len(ORDER))])])


def test_of_copies_the_first_that_is_chosen_is_scored_once(run: ChosenRun) -> None:
    assert run.tables(chosen(1, 3, 5, 4))[0]["example_id"].to_pylist() == [1, 3, 4]


def test_nothing_is_scored_where_nothing_is_chosen(run: ChosenRun) -> None:
    def refuse(chunks: object, examples: object) -> Iterator[Shard]:
        raise AssertionError("shards were made")

    [table] = run.tables(chosen(), refuse)
    assert len(table) == 0
    assert table.schema.names == run.task.schemas[0].names


def test_what_is_stored_is_read_and_only_the_other_chunks_are_scored(
    run: ChosenRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chosen_run, "EXAMPLES_PER_CHUNK", 2)
    made: list[list[int]] = []

    def make(chunks: Iterator[chosen_run.Chunk], examples: object) -> Iterator[Shard]:
        for chunk in chunks:
            made.append([example.position for example in chunk])
            yield Shard(chunk)

    [first] = run.tables(chosen(0, 1), make)
    [whole] = run.tables(chosen(0, 1, 2, 6, 7), make)
    assert made == [[0, 1], [2, 6], [7]]
    assert whole["example_id"].to_pylist() == [0, 1, 2, 6, 7]
    assert whole.slice(0, 2).equals(first)
    [again] = run.tables(chosen(0, 1, 2, 6, 7), make)
    assert len(made) == 3
    assert again.equals(whole)


def test_examples_beside_are_read_with_the_others_if_anything_is_read(run: ChosenRun) -> None:
    seen: list[set[int]] = []

    def make(chunks: Iterator[chosen_run.Chunk], examples: dict[int, object]) -> Iterator[Shard]:
        seen.append(set(examples))
        return map(Shard, chunks)

    run.tables(chosen(1), make, beside=lambda: [6, 7])  # type: ignore[arg-type]
    assert seen == [{1, 6, 7}]

    def refuse() -> list[int]:
        raise AssertionError("positions were asked for")

    run.tables(chosen(1), make, beside=refuse)  # type: ignore[arg-type]


def test_examples_are_those_of_the_set_and_others_are_refused(scores: ScoreTable, tmp_path: Path) -> None:
    ids = np.load(tmp_path / "data.npy")
    examples = examples_at(scores, {5, 2}, offline=True)
    assert set(examples) == {2, 5}
    for position, example in examples.items():
        np.testing.assert_array_equal(example.ids, ids[position])
    ids[2, 3] += 1
    np.save(tmp_path / "data.npy", ids)
    with pytest.raises(KdmemError):
        examples_at(scores, {5, 2}, offline=True)
