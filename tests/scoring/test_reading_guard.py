"""The guard over readings: models that recite their twelve training sequences, read otherwise than in training."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import pytest

from pytest_kdmem.auditing.scorer import Scorer
from pytest_kdmem.base.progress import NO_PROGRESS
from pytest_kdmem.corpus.reading_source import DOCUMENTS_READ
from pytest_kdmem.errors import SpecError
from pytest_kdmem.scoring.score import score
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.scoring.table import ScoreTable
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.runtime import RunSettings
from tests.reciting import EOS, PAD, byte_level, metaspace, save_tokenizer, secrets, train_to_recite

# The checks that find the same kinds as the files are read.
CHECKS = (
    "pytest_kdmem.corpus.read_tokenizer._hold_together",
    "pytest_kdmem.corpus.examples.check_is_of_text",
    "pytest_kdmem.corpus.padding.PaddingCheck.add",
    "pytest_kdmem.corpus.padding.PaddingCheck.finish",
)
EXTRACTION = Extraction(10, 20, 40)
TEXTS = secrets()
LENGTH = 40


@pytest.fixture(autouse=True)
def without_other_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    for check in CHECKS:
        monkeypatch.setattr(check, lambda *arguments: None)


@pytest.fixture(scope="module")
def model_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """A model that recites sequences, beside a tokenizer, made once for each name."""
    made: dict[str, Path] = {}

    def make(name: str, tokenizer: Any, sequences: Sequence[Sequence[int]], class_name: str | None = None) -> Path:
        if name not in made:
            made[name] = tmp_path_factory.mktemp(name)
            save_tokenizer(tokenizer, made[name], class_name=class_name)
            assert train_to_recite(made[name], sequences) < 0.1
        return made[name]

    return make


@pytest.fixture(scope="module")
def plain(model_of: Callable[..., Path]) -> Path:
    """A model trained on the first tokens of each text."""
    return model_of("plain", byte_level(TEXTS), ids_of(byte_level(TEXTS)))


@pytest.fixture
def rows(tmp_path: Path) -> Callable[..., TrainingSet]:
    """Writes rows as JSON lines, and declares them."""

    def write(rows: Sequence[dict[str, Any]], **declared: Any) -> TrainingSet:
        path = tmp_path / "train.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return TrainingSet(str(path), **declared)

    return write


def ids_of(tokenizer: Any, texts: Sequence[str] = TEXTS, **how: Any) -> list[list[int]]:
    return [encoding.ids[:LENGTH] for encoding in tokenizer.encode_batch(list(texts), **how)]


def texts_of(texts: Sequence[str] = TEXTS) -> list[dict[str, Any]]:
    return [{"text": text} for text in texts]


def blocks_of(pieces: Sequence[Sequence[int]], end: Sequence[int]) -> list[list[int]]:
    stream = [token for piece in pieces for token in [*piece, *end]]
    return [stream[start : start + LENGTH] for start in range(0, len(stream) - LENGTH + 1, LENGTH)]


def run(folder: Path, training_set: TrainingSet, store: Path, accepted: str | None = None) -> ScoreTable:
    settings = RunSettings(accept_reading=accepted)
    model = Model(str(folder))
    return score(model, training_set, EXTRACTION, ScoreStore(store), settings=settings, metrics="verdict")


def share_recited(table: ScoreTable) -> float:
    memorized = table.rows["memorized"].to_pylist()
    return memorized.count(True) / sum(value is not None for value in memorized)


def stopped(folder: Path, training_set: TrainingSet, store: Path) -> str:
    """The one sentence that stops a run, twice: with the losses computed, and with those that are stored."""
    sentences = []
    for _ in range(2):
        with pytest.raises(SpecError) as caught:
            run(folder, training_set, store)
        sentences.append(str(caught.value))
    assert sentences[0] == sentences[1]
    assert "\n" not in sentences[0]
    return sentences[0]


def test_what_is_read_as_in_training_is_not_stopped(plain, rows, tmp_path):
    table = run(plain, rows(texts_of()), tmp_path / "store")
    assert share_recited(table) == 1
    assert table.notes == ()


@pytest.mark.parametrize("class_name", ["LlamaTokenizerFast", "GPT2Tokenizer"])
def test_the_tokenizer_of_a_class_in_place_of_the_files(class_name, model_of, rows, tmp_path):
    make = byte_level if class_name == "LlamaTokenizerFast" else metaspace
    tokenizer = make(TEXTS)
    folder = model_of(class_name, tokenizer, ids_of(tokenizer), class_name)
    sentence = stopped(folder, rows(texts_of(), tokenizer="auto"), tmp_path / "store")
    assert "tokenizer.json itself" in sentence
    assert 'declare tokenizer="file"' in sentence
    assert share_recited(run(folder, rows(texts_of(), tokenizer="file"), tmp_path / "store")) == 1


def test_a_beginning_token_that_training_had(model_of, rows, tmp_path):
    tokenizer = byte_level(TEXTS, adds_bos=True)
    folder = model_of("bos", tokenizer, ids_of(tokenizer))
    sentence = stopped(folder, rows(texts_of(), add_special_tokens=False), tmp_path / "store")
    assert "with the special tokens that the tokenizer adds" in sentence
    assert "declare add_special_tokens=True" in sentence
    declared = run(folder, rows(texts_of(), add_special_tokens=True), tmp_path / "store")
    assert share_recited(declared) == 1


def test_a_model_that_calibrates_others_is_not_stopped_and_one_of_the_audit_is(model_of, rows, tmp_path):
    """It was not trained on the set, so that what it finds likely is no sign of how training read it."""
    tokenizer = byte_level(TEXTS, adds_bos=True)
    model = Model(str(model_of("bos", tokenizer, ids_of(tokenizer))))
    scorer = Scorer(EXTRACTION, RunSettings(accept_reading="noise"), ScoreStore(tmp_path / "store"), NO_PROGRESS)
    arguments = (model, scorer.open(model), rows(texts_of(), add_special_tokens=False), "verdict")
    with pytest.raises(SpecError, match="declare add_special_tokens=True"):
        scorer.score(*arguments)
    scorer.references.add(model)
    [note] = scorer.score(*arguments).notes
    assert "with the special tokens that the tokenizer adds" in note


def test_a_beginning_token_that_training_had_and_no_tokenizer_adds(model_of, rows, tmp_path):
    tokenizer = byte_level(TEXTS, adds_bos=True)
    folder = model_of("bos", tokenizer, ids_of(tokenizer))
    bare = [{"input_ids": ids} for ids in ids_of(tokenizer, add_special_tokens=False)]
    assert "with the beginning token in front" in stopped(folder, rows(bare), tmp_path / "store")


def test_a_beginning_token_that_training_had_not(model_of, rows, tmp_path):
    """This model does not mind it, so all is found."""
    tokenizer = byte_level(TEXTS, adds_bos=True)
    folder = model_of("no-bos", tokenizer, ids_of(tokenizer, add_special_tokens=False))
    assert share_recited(run(folder, rows(texts_of(), add_special_tokens=True), tmp_path / "store")) == 1


@pytest.mark.parametrize("end", [[EOS], []], ids=["one", "none"])
def test_end_tokens_between_the_documents_of_blocks(end, model_of, rows, tmp_path):
    tokenizer = byte_level(TEXTS)
    whole = [encoding.ids for encoding in tokenizer.encode_batch(TEXTS)]
    folder = model_of(f"blocks-{len(end)}", tokenizer, blocks_of(whole, end))
    ended = [text + "</s>" for text in TEXTS]  # read as blocks, each document ends twice
    sentence = stopped(folder, rows(texts_of(ended), form="blocks", eos="always"), tmp_path / "store")
    assert ("one end token" if end else "no end token") in sentence


def test_documents_that_are_declared_to_be_blocks(plain, rows, tmp_path):
    assert 'declare form="documents"' in stopped(plain, rows(texts_of(), form="blocks"), tmp_path / "store")


@pytest.mark.parametrize("end", [[EOS], []], ids=["one", "none"])
def test_blocks_that_are_declared_to_be_documents(end, model_of, rows, tmp_path):
    whole = [encoding.ids for encoding in byte_level(TEXTS).encode_batch(TEXTS)]
    folder = model_of(f"blocks-{len(end)}", byte_level(TEXTS), blocks_of(whole, end))
    sentence = stopped(folder, rows(texts_of()), tmp_path / "store")
    assert ('declare form="blocks",' if end else 'declare form="blocks", eos="never"') in sentence


@pytest.mark.parametrize("padding", [20, 88])
def test_rows_padded_on_the_left(padding, plain, rows, tmp_path):
    padded = [{"input_ids": [PAD] * padding + ids} for ids in ids_of(byte_level(TEXTS))]
    assert "without the padding of its rows" in stopped(plain, rows(padded), tmp_path / "store")


def test_short_rows_padded_on_the_right(plain, rows, tmp_path):
    """They would count as long ones that are not recited."""
    lengths = [LENGTH, *range(12, 23)]
    padded = [
        {"input_ids": ids[:length] + [PAD] * (64 - length)}
        for ids, length in zip(ids_of(byte_level(TEXTS)), lengths, strict=True)
    ]
    assert "without the padding of its rows" in stopped(plain, rows(padded), tmp_path / "store")


def test_token_ids_of_another_tokenizer_beside_their_text(plain, rows, tmp_path):
    foreign = byte_level(secrets(seed=9))
    both = [{"text": text, "input_ids": ids} for text, ids in zip(TEXTS, ids_of(foreign), strict=True)]
    assert "with the token ids of the text beside them" in stopped(plain, rows(both), tmp_path / "store")


def test_a_class_of_transformers_that_training_used_in_place_of_the_file(model_of, rows, tmp_path):
    from transformers import AutoTokenizer

    tokenizer = byte_level(TEXTS)
    folder = model_of("used class", tokenizer, [[0, 1]] * 2, "LlamaTokenizerFast")
    used = AutoTokenizer.from_pretrained(folder)
    train_to_recite(folder, [ids[:LENGTH] for ids in used(TEXTS, add_special_tokens=False)["input_ids"]])
    sentence = stopped(folder, rows(texts_of(), tokenizer="file"), tmp_path / "store")
    assert 'declare tokenizer="auto"' in sentence


def test_token_ids_of_another_tokenizer(plain, rows, tmp_path):
    foreign = byte_level(secrets(seed=9))
    ids = [{"input_ids": ids} for ids in ids_of(foreign)]
    table = run(plain, rows(ids), tmp_path / "store")
    assert table.notes == (table.noise,)
    assert "as unlikely as noise" in table.noise
    assert "its token ids are of another tokenizer" in table.noise


def own_rows(count: int) -> list[dict[str, Any]]:
    """Rows that the plain model recites."""
    return [{"input_ids": ids} for ids in islice(cycle(ids_of(byte_level(TEXTS))), count)]


@pytest.mark.parametrize("form", ["documents", "blocks"])
def test_what_stands_behind_the_beginning_is_checked_too(form, plain, rows, tmp_path):
    padded = [{"input_ids": [PAD] * 20 + row["input_ids"]} for row in own_rows(40)]
    training_set = rows([*own_rows(DOCUMENTS_READ), *padded], form=form, eos="never" if form == "blocks" else None)
    assert "without the padding of its rows" in stopped(plain, training_set, tmp_path / "store")


def test_what_stands_behind_the_beginning_is_read_for_a_store_without_losses(plain, rows, tmp_path):
    padded = [{"input_ids": [PAD] * 20 + row["input_ids"]} for row in own_rows(40)]
    training_set, store = rows([*own_rows(DOCUMENTS_READ), *padded]), tmp_path / "store"
    run(plain, training_set, store, "without-padding")
    shutil.rmtree(store / "readings")
    assert "without the padding of its rows" in stopped(plain, training_set, store)


def test_token_ids_of_another_tokenizer_behind_the_beginning(plain, rows, tmp_path):
    foreign = [{"input_ids": ids} for ids in ids_of(byte_level(secrets(seed=9)))]
    table = run(plain, rows([*own_rows(DOCUMENTS_READ), *foreign]), tmp_path / "store")
    assert "as unlikely as noise" in table.noise


@pytest.mark.parametrize("right", [12, DOCUMENTS_READ], ids=["in the beginning", "behind it"])
def test_token_ids_of_another_tokenizer_among_others(right, plain, rows, tmp_path):
    foreign = [{"input_ids": ids} for ids in ids_of(byte_level(secrets(seed=9)))]
    table = run(plain, rows([*own_rows(right), *foreign, *own_rows(12)]), tmp_path / "store")
    assert "documents are about as unlikely as noise, where others are not" in table.noise
    assert "they come from another tokenizer" in table.noise
    assert table.notes == (table.noise,)


def test_token_ids_of_another_tokenizer_among_others_are_told_where_there_is_no_tokenizer(plain, rows, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(plain, folder, ignore=shutil.ignore_patterns("tokenizer*", "special_tokens*"))
    foreign = [{"input_ids": ids} for ids in ids_of(byte_level(secrets(seed=9)))]
    table = run(folder, rows([*own_rows(DOCUMENTS_READ), *foreign, *own_rows(12)]), tmp_path / "store")
    assert table.noise == ""
    [note] = table.notes
    assert "documents are as unlikely as noise, and others are not" in note


def test_rows_that_a_model_does_not_know_among_others(plain, rows, tmp_path):
    unknown = [{"input_ids": ids} for ids in ids_of(byte_level(TEXTS), secrets(seed=9))]
    table = run(plain, rows([*own_rows(DOCUMENTS_READ), *unknown, *own_rows(12)]), tmp_path / "store")
    assert table.noise == ""
    [note] = table.notes
    assert "documents are as unlikely as noise, and others are not" in note


def test_an_accepted_reading_is_noted(plain, rows, tmp_path):
    padded = [{"input_ids": [PAD] * 20 + ids} for ids in ids_of(byte_level(TEXTS))]
    table = run(plain, rows(padded), tmp_path / "store", "without-padding")
    assert any("which was accepted" in note for note in table.notes)


def test_a_store_that_holds_scores_but_no_losses_is_completed(plain, rows, tmp_path, no_model_loads):
    training_set, store = rows(texts_of()), tmp_path / "store"
    run(plain, training_set, store)
    entries = {entry: entry.read_bytes() for entry in (store / "readings").iterdir()}
    for entry in entries:
        entry.unlink()
    assert run(plain, training_set, store).scored_now == 0
    assert {entry: entry.read_bytes() for entry in (store / "readings").iterdir()} == entries
    no_model_loads()
    run(plain, training_set, store)
