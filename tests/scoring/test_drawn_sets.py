"""A sample is drawn once for all models that read a set alike, which changes no row, no count and no check of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import AutoTokenizer

from pytest_kdmem.base.progress import NO_PROGRESS
from pytest_kdmem.corpus.columns import Document
from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.corpus.shards import CorpusRecord, Shard
from pytest_kdmem.corpus.tokenizer import open_tokenizer
from pytest_kdmem.engines.numerics import resolve_numerics
from pytest_kdmem.errors import SpecError
from pytest_kdmem.scoring import drawn_sets
from pytest_kdmem.scoring.documents_guard import DocumentsGuard
from pytest_kdmem.scoring.drawn_sets import DRAWN_SETS, MOST_SETS, DrawnSet, DrawnSets, reader_of
from pytest_kdmem.scoring.executors.local import LocalExecutor
from pytest_kdmem.scoring.job import Job
from pytest_kdmem.scoring.reading_guard import ReadingGuard
from pytest_kdmem.scoring.run import RunResult, ScoreRun
from pytest_kdmem.scoring.score import score_pair
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.runtime import RunSettings

EXTRACTION = Extraction(6, 6, 24)


class CountingExecutor(LocalExecutor):
    """Counts how often a source is read."""

    def __init__(self) -> None:
        self.readings = 0

    def documents(self, training_set: TrainingSet, **how: Any) -> Iterator[Document]:
        self.readings += 1
        return super().documents(training_set, **how)


@pytest.fixture(autouse=True)
def _nothing_drawn_before() -> None:
    DRAWN_SETS.forget()


@pytest.fixture(scope="module")
def models(make_model) -> list[Path]:
    """Models of one tokenizer."""
    return [make_model(seed=seed) for seed in (3, 4)]


@pytest.fixture
def training_set(tmp_path: Path, sentences: list[str]) -> TrainingSet:
    """More documents than are read at the beginning, each of them twice, and a sample of them."""
    texts = [f"{number} {sentences[number % 120]}" for number in range(300)] * 2
    path = tmp_path / "train.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return TrainingSet(path, sample=12)


def run_of(
    folder: Path, training_set: TrainingSet, store: Path, *, trusts_code: bool = False
) -> tuple[ScoreRun, ReadingGuard, CountingExecutor]:
    model = Model(folder, trust_remote_code=trusts_code)
    checkpoint = open_checkpoint(model)
    numerics = resolve_numerics(
        model, checkpoint, engine="transformers", device="cpu", dtype="float32", metrics="verdict"
    )
    settings = RunSettings(device="cpu", examples_per_shard=5, accept_reading="noise")
    job = Job(model, checkpoint, EXTRACTION, numerics, "verdict", settings)
    executor = CountingExecutor()
    run = ScoreRun(job, ((checkpoint.digest[:16],),), training_set, ScoreStore(store), executor, NO_PROGRESS)
    return run, ReadingGuard(DocumentsGuard(job, training_set, run.store, executor, run.record_key())), executor


def scored(folder: Path, training_set: TrainingSet, store: Path, **how: Any) -> tuple[RunResult, ReadingGuard, int]:
    """What a run gives, with the losses of its checks, and how often it read the source."""
    run, guard, executor = run_of(folder, training_set, store, **how)
    result = run.score_missing(guard)
    assert result is not None
    guard.check()
    return result, guard, executor.readings


def losses_of(guard: ReadingGuard) -> list[Any]:
    return [losses and losses.to_json() for part in (guard.first, guard._rest) for losses in part.losses]


def test_a_second_model_reads_nothing_and_gives_what_it_gives_alone(
    models: list[Path], training_set: TrainingSet, tmp_path: Path
) -> None:
    _, _, readings = scored(models[0], training_set, tmp_path / "store")
    assert readings == 1
    shared, shared_guard, readings = scored(models[1], training_set, tmp_path / "store")
    assert readings == 0
    DRAWN_SETS.forget()
    alone, alone_guard, readings = scored(models[1], training_set, tmp_path / "alone")
    assert readings == 1
    assert shared.record == alone.record
    assert shared.record.examples == 600
    assert shared.record.copies
    assert [table.to_pylist() for table in shared.tables[0]] == [table.to_pylist() for table in alone.tables[0]]
    assert shared.scored_now == alone.scored_now == 12
    assert losses_of(shared_guard) == losses_of(alone_guard)
    assert any(losses_of(shared_guard)[1:]), "documents behind the beginning were checked"


def test_a_store_that_has_nothing_of_the_set_gets_its_record(
    models: list[Path], training_set: TrainingSet, tmp_path: Path
) -> None:
    first, _, _ = scored(models[0], training_set, tmp_path / "store")
    scored(models[1], training_set, tmp_path / "other")
    run, _, _ = run_of(models[1], training_set, tmp_path / "other")
    stored = run.read_all()
    assert stored is not None
    assert stored.record == first.record


@pytest.mark.parametrize("change", ["seed", "size", "content", "lengths of a shard", "tokenizer", "code", "no sample"])
def test_what_is_read_otherwise_is_read_again(
    models: list[Path], training_set: TrainingSet, tmp_path: Path, make_model, change: str
) -> None:
    scored(models[0], training_set, tmp_path / "store")
    folder, trusts_code = models[1], False
    if change == "seed":
        training_set = replace(training_set, seed=1)
    elif change == "size":
        training_set = replace(training_set, sample=13)
    elif change == "no sample":
        training_set = replace(training_set, sample=None)
    elif change == "content":
        path = Path(training_set.source)
        path.write_text(path.read_text().replace("amber", "ember"))
    elif change == "tokenizer":
        folder = make_model(seed=5)
        settings = json.loads((folder / "tokenizer_config.json").read_text())
        (folder / "tokenizer_config.json").write_text(json.dumps(settings | {"clean_up_tokenization_spaces": True}))
    elif change == "code":
        trusts_code = True
    run, guard, executor = run_of(folder, training_set, tmp_path / "store", trusts_code=trusts_code)
    if change == "lengths of a shard":
        job = run.task.jobs[0]
        run.task = replace(job, settings=replace(job.settings, examples_per_shard=4))  # type: ignore[assignment]
    assert run.score_missing(guard) is not None
    assert executor.readings == 1


def test_a_model_of_which_transformers_makes_another_class_of_the_same_files_has_its_own_token_ids(
    training_set: TrainingSet, tmp_path: Path, make_model
) -> None:
    training_set = replace(training_set, tokenizer="auto")
    texts = [json.loads(line)["text"] for line in Path(training_set.source).read_text().splitlines()]
    digests = set()
    for seed, named in ((6, "GPTNeoXTokenizer"), (7, "LlamaTokenizer")):
        folder = make_model(seed=seed)
        for name, changed in (("tokenizer_config.json", {"tokenizer_class": None}), ("config.json", {})):
            content = json.loads((folder / name).read_text()) | (changed or {"tokenizer_class": named})
            (folder / name).write_text(json.dumps(content))
        result, _, readings = scored(folder, training_set, tmp_path / "store")
        assert readings == 1
        auto = AutoTokenizer.from_pretrained(folder)
        assert type(auto).__name__ == named
        rows = result.tables[0][0].to_pylist()
        for row in rows:
            ids = auto(texts[row["example_id"]], add_special_tokens=False)["input_ids"][: EXTRACTION.window_tokens]
            assert row["digest"] == Example(0, np.array(ids, np.int32)).digest
        digests.add(open_checkpoint(Model(folder)).text_digest)
    assert len(digests) == 1


def test_two_models_in_one_pass_are_refused_text_that_transformers_reads_otherwise_for_one_of_them(
    training_set: TrainingSet, tmp_path: Path, make_model
) -> None:
    folders = []
    for seed, named in ((8, "GPTNeoXTokenizer"), (9, "LlamaTokenizer")):
        folders.append(folder := make_model(seed=seed))
        for name, changed in (("tokenizer_config.json", None), ("config.json", named)):
            content = json.loads((folder / name).read_text()) | {"tokenizer_class": changed}
            (folder / name).write_text(json.dumps(content))
    store, settings = ScoreStore(tmp_path / "store"), RunSettings(device="cpu", accept_reading="noise")
    pair = Model(folders[0]), Model(folders[1])
    with pytest.raises(SpecError, match=r"of pythia-.* and .* by AutoTokenizer \(LlamaTokenizer.* which differ"):
        score_pair(*pair, replace(training_set, tokenizer="auto"), EXTRACTION, store, settings=settings)
    by_file = score_pair(*pair, replace(training_set, tokenizer="file"), EXTRACTION, store, settings=settings)
    assert len(by_file.baseline.rows) == 12


def test_what_its_steps_do_not_tell_of_a_tokenizer_is_that_of_one_model_alone(
    models: list[Path], training_set: TrainingSet
) -> None:
    first, second = (open_checkpoint(Model(folder)) for folder in models)
    tokenizer = open_tokenizer(Model(models[0]), first, training_set)
    assert tokenizer is not None
    assert reader_of(tokenizer, first) == reader_of(tokenizer, second)
    tokenizer.identity = None  # type: ignore[misc]
    assert reader_of(tokenizer, first) != reader_of(tokenizer, second)
    assert reader_of(None, first) == reader_of(None, second) == ""


def test_a_sample_of_an_unknown_content_is_not_kept(
    models: list[Path], training_set: TrainingSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _, executor = run_of(models[0], training_set, tmp_path / "store")
    monkeypatch.setattr(run, "record_key", lambda: None)
    for readings in (1, 2):
        assert run.score_missing() is not None
        assert executor.readings == readings


def drawn(number: int, tokens: int = 4) -> DrawnSet:
    """A sample of one example, which stands at a position of this number."""
    shards = (Shard((Example(number, np.full(tokens, number, np.int32)),)),)
    return DrawnSet(
        "content", CorpusRecord(1, 0, False, tuple(shard.digest for shard in shards)), shards, None, "reader"
    )


def test_the_sets_that_were_drawn_last_are_kept() -> None:
    sets = DrawnSets()
    for number in range(MOST_SETS + 1):
        sets.keep((str(number), False), drawn(number))
    sets.keep(("1", False), drawn(1))
    new = drawn(9)
    sets.keep(("new", False), new)
    kept = [name for name in (*map(str, range(MOST_SETS + 1)), "new") if sets.find((name, False)) is not None]
    assert kept == ["1", *map(str, range(3, MOST_SETS + 1)), "new"]
    assert sets.find(("new", False)) is new
    assert sets.find(("new", True)) is None


def test_a_set_that_takes_much_memory_or_is_not_that_of_its_record_is_not_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(drawn_sets, "MOST_TOKENS", 10)
    sets = DrawnSets()
    sets.keep(("large", False), drawn(0, tokens=11))
    sets.keep(("fits", False), drawn(0, tokens=10))
    sets.keep(("other", False), replace(drawn(1), shards=drawn(2).shards))
    found = [sets.find((name, False)) is not None for name in ("large", "fits", "other", "unknown")]
    assert found == [False, True, False, False]


def test_examples_of_a_sample_are_found_by_position() -> None:
    both = replace(drawn(3), shards=(*drawn(3).shards, *drawn(7).shards))
    assert [example.position for example in both.examples_at({7, 3, 5})] == [3, 7]
    assert both.examples_at(set()) == []
