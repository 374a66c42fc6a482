"""Each distinct example of a run is scored once, and the store's bytes are the same in whatever order rows come."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pytest_kdmem.base.progress import NO_PROGRESS, NoProgress
from pytest_kdmem.engines.numerics import resolve_numerics
from pytest_kdmem.errors import EngineError
from pytest_kdmem.scoring.executors.local import LocalExecutor
from pytest_kdmem.scoring.job import Job
from pytest_kdmem.scoring.pair_job import PairJob
from pytest_kdmem.scoring.run import ScoreRun
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.runtime import Part, RunSettings
from tests.scoring.stored_files import digests_by_file

# Which of 14 rows stands where: four in a shard; the fourth shard holds copies alone, and the last one of a short row.
ORDER = [0, 1, 2, 0, 3, 0, 4, 5, 6, 4, 1, 7, 0, 4, 6, 2, 8, 9, 7, 10]
DISTINCT = len(set(ORDER))


class CountingExecutor(LocalExecutor):
    """Notes the examples it scores, may return the last shard first, and may fail after some shards."""

    def __init__(self, *, in_reverse=False, fails_after=None):
        self.positions: list[int] = []
        self._in_reverse = in_reverse
        self._fails_after = fails_after

    def score(self, task, shards, progress):
        scored = super().score(task, self._noted(shards), progress)
        yield from reversed(list(scored)) if self._in_reverse else scored

    def _noted(self, shards):
        for number, shard in enumerate(shards):
            if number == self._fails_after:
                raise EngineError("The run ended early.")
            self.positions += [example.position for example in shard.examples]
            yield shard


class CountedProgress(NoProgress):
    def __init__(self):
        self.done = 0

    def start(self, what, total):
        self.what, self.total = what, total

    def advance(self, examples):
        self.done += examples

    def finish(self):
        pass


@pytest.fixture(scope="module")
def jobs(make_model):
    """A job by one model and one by two, both by all metrics."""
    made = []
    for seed in (3, 4):
        model = Model(str(make_model("pythia", seed=seed)))
        checkpoint = open_checkpoint(model)
        numerics = resolve_numerics(
            model, checkpoint, engine="transformers", device="cpu", dtype="float32", metrics="all"
        )
        made.append(Job(model, checkpoint, Extraction(12, 12, 32), numerics, "all", RunSettings(examples_per_shard=4)))
    return {"one": made[0], "two": PairJob(*made)}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    rows = np.random.default_rng(0).integers(1, 290, (DISTINCT, 32), dtype=np.int32)
    path = tmp_path_factory.mktemp("rows") / "rows.npy"
    np.save(path, rows[ORDER])
    return path


def make_run(task, source, root, executor=None, progress=NO_PROGRESS):
    keys = tuple((f"model-protocol-{name}",) for name in ("first", "second", "kl")[: 1 if len(task.jobs) == 1 else 3])
    return ScoreRun(task, keys, TrainingSet(str(source)), ScoreStore(root), executor or LocalExecutor(), progress)


@pytest.mark.parametrize("models", ["one", "two"])
def test_every_distinct_example_is_scored_once_and_its_copies_share_its_row(jobs, source, tmp_path, models):
    executor, progress = CountingExecutor(), CountedProgress()
    result = make_run(jobs[models], source, tmp_path, executor, progress).score_missing()
    distinct = [at for at, row in enumerate(ORDER) if ORDER.index(row) == at]
    assert sorted(set(executor.positions) - {3}) == distinct, "a copy in its own shard is left out by the scorer"
    assert progress.done == progress.total == result.scored_now == len(ORDER)
    assert progress.what == " and ".join(job.model.name for job in jobs[models].jobs)
    for tables in result.tables:
        rows = [row for table in tables for row in table.to_pylist()]
        assert [row.pop("example_id") for row in rows] == list(range(len(ORDER)))
        assert all(row == rows[ORDER.index(number)] for row, number in zip(rows, ORDER, strict=True))
        assert len({row["digest"] for row in rows}) == DISTINCT


@pytest.mark.parametrize("models", ["one", "two"])
def test_the_bytes_do_not_depend_on_the_order_of_results_or_on_an_earlier_end(jobs, source, tmp_path, models):
    task = jobs[models]
    make_run(task, source, tmp_path / "whole").score_missing()
    expected = digests_by_file(tmp_path / "whole")
    make_run(task, source, tmp_path / "reverse", CountingExecutor(in_reverse=True)).score_missing()
    assert digests_by_file(tmp_path / "reverse") == expected
    for shards in (1, 2, 3):
        root = tmp_path / f"resumed-{shards}"
        with pytest.raises(EngineError, match="ended early"):
            make_run(task, source, root, CountingExecutor(fails_after=shards)).score_missing()
        make_run(task, source, root).score_missing()
        assert digests_by_file(root) == expected


def test_a_lost_shard_is_scored_again_as_before(jobs, source, tmp_path):
    make_run(jobs["one"], source, tmp_path).score_missing()
    expected = digests_by_file(tmp_path)
    for path in sorted(tmp_path.rglob("*.parquet")):
        path.unlink()
        make_run(jobs["one"], source, tmp_path).score_missing()
        assert digests_by_file(tmp_path) == expected


def test_a_part_scores_what_is_distinct_in_it_whatever_the_others_have_stored(jobs, source, tmp_path):
    roots = [tmp_path / "alone", tmp_path / "after the other"]
    make_run(_part(jobs["one"], 2), source, roots[1]).score_missing()
    before = set(digests_by_file(roots[1]))
    for root in roots:
        executor = CountingExecutor()
        make_run(_part(jobs["one"], 1), source, root, executor).score_missing()
        in_part = [at for at in range(len(ORDER)) if at // 4 % 2 == 0]
        first = {ORDER[at]: at for at in reversed(in_part)}
        assert sorted({*executor.positions} - {3}) == sorted(first.values())
    alone, after = (digests_by_file(root) for root in roots)
    assert {path: digest for path, digest in after.items() if path not in before} == {
        path: digest for path, digest in alone.items() if path not in before
    }
    assert make_run(jobs["one"], source, roots[1]).read_all() is not None


def _part(job, number):
    return replace(job, settings=RunSettings(examples_per_shard=4, part=Part(number, 2)))


def test_copies_and_short_examples_alone_need_no_model(jobs, tmp_path, no_model_loads, write_jsonl, sentences):
    texts = [sentences[0], sentences[1], "amber", sentences[0], sentences[0], "birch", sentences[1], "amber"]
    first, whole = write_jsonl(texts[:4], "first.jsonl"), write_jsonl(texts, "whole.jsonl")
    make_run(jobs["one"], first, tmp_path).score_missing()
    no_model_loads()
    result = make_run(jobs["one"], whole, tmp_path).score_missing()
    assert result.scored_now == 4
    [rows] = result.tables[0]
    second = rows.slice(4)
    assert second["status"].to_pylist() == ["scored", "too_short", "scored", "too_short"]
    assert second["margin"].to_pylist()[::2] == rows["margin"].to_pylist()[:2]


def test_a_shard_of_short_examples_alone_is_stored_once_the_set_is_read(jobs, tmp_path, write_jsonl, sentences):
    source = write_jsonl([*sentences[:4], "amber", "birch", "cedar", "delta"])
    run = make_run(jobs["one"], source, tmp_path / "store")
    result = run.score_missing()
    stored = run.read_all()
    assert result.scored_now == 8
    assert stored.tables == result.tables
    assert stored.tables[0][0]["status"].to_pylist() == ["scored"] * 4 + ["too_short"] * 4
