"""What a run takes from the store and from its executor, and what it refuses."""

from __future__ import annotations

import gzip
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from pytest_kdmem.base.progress import NO_PROGRESS, NoProgress
from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.corpus.sources import training_fingerprint
from pytest_kdmem.corpus.tokenizer import load_tokenizer
from pytest_kdmem.engines.numerics import resolve_numerics
from pytest_kdmem.errors import DataError, EngineError
from pytest_kdmem.scoring.executors.local import LocalExecutor
from pytest_kdmem.scoring.executors.ray import RayExecutor
from pytest_kdmem.scoring.job import Job
from pytest_kdmem.scoring.loss_shard import LossShard
from pytest_kdmem.scoring.run import ScoreRun, executor_of
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.run_card import RunCard, write_run_card
from pytest_kdmem.specs.runtime import Part, RunSettings
from tests.conftest import ROOT

KEYS = (("model-protocol-numerics",),)


class SwappingExecutor(LocalExecutor):
    """Hands over the rows of each shard under the digest of another."""

    def score(self, task, shards, progress):
        digests, tables = zip(*super().score(task, shards, progress), strict=True)
        yield from zip(digests, tables[::-1], strict=True)


@pytest.fixture
def run_over(tiny, tmp_path):
    """Makes a run of the tiny model over rows of token ids, by verdicts and in shards of four."""
    model = Model(str(tiny))
    checkpoint = open_checkpoint(model)
    numerics = resolve_numerics(
        model, checkpoint, engine="transformers", device="cpu", dtype="float32", metrics="verdict"
    )

    def make(rows: np.ndarray, *, executor=None, part=None) -> ScoreRun:
        path = tmp_path / "rows.npy"
        np.save(path, rows)
        settings = RunSettings(examples_per_shard=4, part=part)
        job = Job(model, checkpoint, Extraction(20, 20, 40), numerics, "verdict", settings)
        store = ScoreStore(tmp_path / "store")
        return ScoreRun(job, KEYS, TrainingSet(str(path)), store, executor or LocalExecutor(), NO_PROGRESS)

    return make


def random_rows(count: int, length: int = 40) -> np.ndarray:
    return np.random.default_rng(0).integers(1, 290, (count, length), dtype=np.int32)


def test_nothing_is_read_before_everything_was_scored_and_all_of_it_afterwards(run_over):
    assert run_over(random_rows(10)).read_all() is None
    scored = run_over(random_rows(10)).score_missing()
    assert scored is not None
    stored = run_over(random_rows(10)).read_all()
    assert stored is not None
    assert (scored.scored_now, stored.scored_now) == (10, 0)
    assert [len(table) for table in stored.tables[0]] == [10]
    assert len(list(run_over(random_rows(10)).store.shards())) == 3
    assert all(first.equals(second) for first, second in zip(scored.tables[0], stored.tables[0], strict=True))


def test_the_record_is_kept_under_all_that_reading_depends_on(run_over, tiny, tmp_path):
    run = run_over(random_rows(10))
    result = run.score_missing()
    assert result.record.read_as == run.record_key()
    assert result.record == run.store.read_record(run.record_key())
    job, data = run.task, run.training_set
    others = [
        replace(run, training_set=replace(data, add_special_tokens=True)),
        replace(run, training_set=replace(data, add_special_tokens=False)),
        replace(run, task=replace(job, extraction=Extraction(20, 20, 44))),
        replace(run, task=replace(job, extraction=Extraction(20, 19, 40))),
        replace(run, task=replace(job, settings=replace(job.settings, examples_per_shard=5))),
        replace(run, task=replace(job, checkpoint=replace(job.checkpoint, text_digest="other"))),
        _with_card(run, tmp_path / "trained"),
    ]
    assert len({run.record_key(), *(other.record_key() for other in others)}) == 1 + len(others)


def _with_card(run, folder):
    """The same run of a model whose run card tells that training had the tokenizer's special tokens."""
    checkpoint = run.task.checkpoint
    shutil.copytree(checkpoint.folder, folder)
    card = RunCard.from_json(json.loads((ROOT / "tests" / "records" / "kdmem_run.json").read_text()))
    fingerprint = training_fingerprint(replace(run.training_set, add_special_tokens=True))
    data = replace(card.training_set, fingerprint=fingerprint)
    write_run_card(replace(card, weights=checkpoint.weights_digest, training_set=data), folder)
    return replace(run, task=replace(run.task, checkpoint=replace(checkpoint, folder=folder)))


def test_text_is_read_by_the_tokenizer_of_the_model(run_over, tiny, tmp_path, sentences):
    run = run_over(random_rows(1))
    (tmp_path / "text.txt").write_text("\n".join(sentences[:6]))
    result = replace(run, training_set=TrainingSet(str(tmp_path / "text.txt"))).score_missing()
    tokenizer = load_tokenizer(tiny)
    ids = [list(ids)[:40] for ids in tokenizer.encode(sentences[:6], add_special_tokens=False)]
    assert [table.num_rows for table in result.tables[0]] == [6]
    expected = [Example(at, np.array(row, np.int32)).digest for at, row in enumerate(ids)]
    assert result.tables[0][0]["digest"].to_pylist() == expected


def test_progress_is_of_the_model_and_of_as_many_examples_as_there_are(run_over):
    started = []

    class Started(NoProgress):
        def start(self, what, total):
            started.append((what, total))

    run = replace(run_over(random_rows(10)), progress=Started())
    run.score_missing()
    assert started == [(run.task.model.name, 10)]


def test_progress_over_a_stream_is_of_its_windows(run_over, tmp_path):
    tokens = random_rows(3).astype("uint16")
    (tmp_path / "stream.bin").write_bytes(tokens.tobytes() + tokens[0, :30].tobytes())
    totals = []

    class Started(NoProgress):
        def start(self, what, total):
            totals.append(total)

    data = TrainingSet(str(tmp_path / "stream.bin"), dtype="uint16", form="blocks")
    replace(run_over(random_rows(1)), training_set=data, progress=Started()).score_missing()
    assert totals == [4]


def test_a_total_that_no_file_tells_is_estimated_and_then_known(run_over, tmp_path, sentences):
    """A set of gzipped lines, whose number is known once all shards are read."""
    lines = [sentences[number % len(sentences)] + f" {number}" for number in range(10)]
    path = tmp_path / "text.jsonl.gz"
    path.write_bytes(gzip.compress("".join(json.dumps({"text": line}) + "\n" for line in lines).encode()))
    totals, expected = [], []

    class Expected(NoProgress):
        def start(self, what, total):
            totals.append(total)

        def expect(self, total, *, is_estimate):
            expected.append((total, is_estimate))

    replace(run_over(random_rows(1)), training_set=TrainingSet(str(path)), progress=Expected()).score_missing()
    assert totals == [None]
    assert expected[-1] == (10, False)
    assert all(is_estimate for _, is_estimate in expected[:-1])


def test_while_a_sample_is_drawn_the_share_that_is_read_is_told(run_over, tmp_path, sentences, monkeypatch):
    monkeypatch.setattr("pytest_kdmem.scoring.run.DOCUMENTS_BETWEEN_STATUSES", 3)
    path = tmp_path / "text.txt"
    path.write_text("".join(f"{sentences[number % len(sentences)]} {number}\n" * 40 for number in range(30)))
    told = []

    class Told(NoProgress):
        def status(self, text):
            told.append(text)

        def advance(self, examples):
            told.append("scored")

    replace(run_over(random_rows(1)), training_set=TrainingSet(str(path), sample=4), progress=Told()).score_missing()
    first = told.index("scored")
    shares = [text for text in told if text.endswith("% so far")]
    assert len(set(shares)) > 3
    assert not [text for text in told[first:] if text.endswith("so far")]


class ElsewhereExecutor(LocalExecutor):
    """Scores in this process, and says that it does not."""

    scores_here = False


def test_rows_that_are_scored_elsewhere_are_the_same(run_over):
    here = run_over(random_rows(10)).score_missing()
    elsewhere = replace(run_over(random_rows(10)), executor=ElsewhereExecutor())
    elsewhere = replace(elsewhere, store=ScoreStore(elsewhere.store.root.with_name("elsewhere")))
    assert elsewhere.score_missing().tables == here.tables


class NotingGuard:
    """Stands for a guard: it asks for the losses of one shard, and takes them out of the results again."""

    def __init__(self):
        self.documents, self.losses = 0, []

    def watched(self, read):
        def watching(training_set, *, offline):
            for document in read(training_set, offline=offline):
                self.documents += 1
                yield document

        return watching

    def with_losses(self, shards):
        for number, shard in enumerate(shards):
            if number == 0:
                self.asked_for = LossShard(shard.examples[:2])
                yield self.asked_for
            yield shard

    def takes(self, digest, rows):
        if "losses.0" in rows.schema.names:
            self.losses.append((digest, rows["losses.0"].to_pylist()))
            return True
        return False


def test_a_guard_sees_the_documents_and_gets_the_losses_it_asked_for(run_over):
    guard = NotingGuard()
    result = run_over(random_rows(10)).score_missing(guard)
    assert guard.documents == 10
    [(digest, losses)] = guard.losses
    assert digest == guard.asked_for.digest
    assert [len(row) for row in losses] == [39, 39]
    assert result.scored_now == 10, "they are no rows of the set"


def test_a_part_scores_its_own_shards_and_the_last_part_has_them_all(run_over):
    assert run_over(random_rows(10), part=Part(1, 2)).score_missing() is None
    assert len(list(run_over(random_rows(10)).store.shards())) == 2
    result = run_over(random_rows(10), part=Part(2, 2)).score_missing()
    assert result is not None
    assert result.scored_now == 4


def test_rows_of_other_examples_than_were_asked_for_are_refused_and_not_stored(run_over):
    run = run_over(random_rows(8), executor=SwappingExecutor())
    with pytest.raises(EngineError, match="those of other examples came") as caught:
        run.score_missing()
    assert "\n" not in str(caught.value)
    assert list(run.store.shards()) == []


def test_a_set_of_too_short_examples_is_refused_and_nothing_of_it_stored(run_over):
    run = run_over(random_rows(8, length=30))
    with pytest.raises(DataError, match="all 8 are shorter"):
        run.score_missing()
    assert list(run.store.shards()) == []


def test_a_source_that_changes_while_it_is_scored_is_not_recorded(run_over, tmp_path):
    """Its rows are stored by their content, and the next run streams the source again."""

    class SavesOver(NoProgress):
        def start(self, what, total):
            pass

        def advance(self, examples):
            np.save(tmp_path / "rows.npy", random_rows(9))

        def finish(self):
            pass

    run = replace(run_over(random_rows(8)), progress=SavesOver())
    run.score_missing()
    assert list(run.store.records()) == []
    assert run.read_all() is None


def test_the_settings_choose_the_executor():
    assert isinstance(executor_of(RunSettings()), LocalExecutor)
    ray = executor_of(RunSettings(executor="ray", workers=3, cpus_per_worker=2))
    assert isinstance(ray, RayExecutor)
    assert vars(ray) == vars(RayExecutor(workers=3, cpus_per_worker=2)) != vars(RayExecutor())
