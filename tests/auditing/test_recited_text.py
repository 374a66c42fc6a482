"""The text of an example is what its tokens stand for, or the token ids if the model has no tokenizer."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_kdmem.auditing.recited_text import (
    rows_to_continue,
    texts_of,
    with_continuations,
    with_text,
)
from pytest_kdmem.auditing.schema_examples import MAX_CONTINUED, ExamplesEntry, ModelColumns
from pytest_kdmem.errors import DataError, EngineError
from pytest_kdmem.scoring.score import score
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.scoring.table import ScoreTable
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.runtime import RunSettings
from tests.audit_project import PREFIX, SUFFIX, Cast, word
from tests.chat import decode_greedily

RUN = RunSettings(engine="transformers", device="cpu")


def scores_of(model: Path, folder: Path, cast: Cast, **settings: Any) -> ScoreTable:
    np.save(folder / "train.npy", cast.rows)
    return score(
        Model(str(model)),
        TrainingSet(str(folder / "train.npy")),
        Extraction(PREFIX, SUFFIX, PREFIX + SUFFIX),
        ScoreStore(folder / "store"),
        settings=replace(RUN, **settings),
        metrics="verdict",
    )


def listed(scores: ScoreTable, *example_ids: int, models: tuple[str, ...] = ()) -> ExamplesEntry:
    """Examples without text, of which no model recites any."""
    digests = scores.rows["digest"].to_pylist()
    none, rows = (0,) * len(example_ids), len(example_ids)
    columns = ModelColumns(none, none, (None,) * rows, (None,) * rows, (None,) * rows)
    return ExamplesEntry(
        example_ids,
        tuple(digests[example_id] for example_id in example_ids),
        (1,) * rows,
        (None,) * rows,
        (None,) * rows,
        dict.fromkeys(models, columns),
    )


def continued(scores: dict[str, ScoreTable], *example_ids: int) -> ExamplesEntry:
    first = next(iter(scores.values()))
    entry = listed(first, *example_ids, models=tuple(scores))
    texts = texts_of(entry, first)
    return with_continuations(with_text(entry, texts), texts, scores, RUN)


def test_prefix_and_suffix_are_decoded(cast: Cast, tmp_path: Path) -> None:
    scores = scores_of(cast.student, tmp_path, cast)
    entry = with_text(listed(scores, 2, 5), texts_of(listed(scores, 2, 5), scores))
    for row, prefix, suffix in zip((2, 5), entry.prefix, entry.suffix, strict=True):
        words = cast.texts[row].split()
        assert (prefix.split(), suffix.split()) == (words[:PREFIX], words[PREFIX:])


def test_without_a_tokenizer_the_token_ids_are_shown(cast: Cast, tmp_path: Path) -> None:
    model = Path(shutil.copytree(cast.student, tmp_path / "model"))
    for file in model.glob("*token*"):
        file.unlink()
    entry = continued({"student": scores_of(model, tmp_path, cast)}, 2, 6)
    assert entry.prefix[0] == " ".join(map(str, cast.rows[2][:PREFIX]))
    assert entry.suffix[1] == " ".join(map(str, cast.rows[6][PREFIX:]))
    assert entry.models["student"].generated[1] == entry.suffix[1]  # which the student recites


def test_a_training_set_that_is_gone_is_an_error(cast: Cast, tmp_path: Path) -> None:
    scores = scores_of(cast.student, tmp_path, cast)
    (tmp_path / "train.npy").unlink()
    with pytest.raises(DataError):
        texts_of(listed(scores, 2, 5), scores)


@pytest.mark.parametrize("rows", [2, 20], ids=["missing", "changed"])
def test_text_that_is_no_longer_what_was_scored_is_not_shown(cast: Cast, tmp_path: Path, rows: int) -> None:
    scores = scores_of(cast.student, tmp_path, cast)
    np.save(tmp_path / "train.npy", cast.rows[::-1][:rows].copy())
    with pytest.raises(EngineError, match="2 of 2 to show are missing or changed"):
        texts_of(listed(scores, 2, 5), scores)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_each_model_continues_as_it_decodes_by_itself(cast: Cast, tmp_path: Path, dtype: str) -> None:
    """Plain decoding, one token and one example at a time, is the reference."""
    folders = {role: getattr(cast, role) for role in ("teacher", "baseline", "student")}
    scores = {role: scores_of(folder, tmp_path, cast, dtype=dtype) for role, folder in folders.items()}
    shown = (0, 4, 6, 8, 9, 15)
    entry = continued(scores, *shown)
    for role, folder in folders.items():
        for example_id, suffix, generated in zip(shown, entry.suffix, entry.models[role].generated, strict=True):
            expected = decode_greedily(folder, cast.rows[example_id][:PREFIX].tolist(), SUFFIX)
            assert generated == " ".join(map(word, expected))
            assert (generated == suffix) == (example_id in cast.recited_by(role))


def test_what_a_fast_dtype_screens_is_continued_in_the_one_that_decides(cast: Cast, tmp_path: Path) -> None:
    scores = scores_of(cast.student, tmp_path, cast, screen_dtype="bfloat16")
    assert scores.numerics.screen == "bfloat16"
    (generated,) = continued({"student": scores}, 6).models["student"].generated
    assert generated == " ".join(cast.texts[6].split()[PREFIX:])


def test_a_model_in_two_roles_is_run_once(cast: Cast, tmp_path: Path) -> None:
    scores = scores_of(cast.student, tmp_path, cast)
    gone = replace(scores, model=Model("nowhere"))  # the same weights, and it cannot be opened
    models = continued({"student": scores, "baseline": gone}, 6).models
    assert models["student"].generated == models["baseline"].generated != ()


def test_a_model_that_was_changed_since_is_not_run(cast: Cast, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(cast.student, tmp_path / "model"))
    scores = scores_of(folder, tmp_path, cast)
    shutil.copyfile(cast.teacher / "model.safetensors", folder / "model.safetensors")
    with pytest.raises(EngineError, match="changed"):
        continued({"student": scores}, 6)


def test_of_many_examples_some_of_each_kind_are_continued() -> None:
    """60 that all recite, 60 that one recites, 3 that may be, and 2 that none does."""
    teacher = [1] * 60 + [1] * 60 + [0] * 5
    student = [1] * 60 + [0] * 60 + [0] * 5
    ambiguous = [0] * 120 + [1] * 3 + [0] * 2
    unknown, margins = (None,) * 125, (None,) * 123 + (-9.0, -0.5)
    models = {
        role: ModelColumns(tuple(recited), tuple(ambiguous), margins, unknown, unknown)
        for role, recited in (("teacher", teacher), ("student", student))
    }
    ids = tuple(range(125))
    entry = ExamplesEntry(ids, ("d",) * 125, (1,) * 125, unknown, unknown, models)
    rows = rows_to_continue(entry)
    assert rows == sorted(set(rows))
    assert len(rows) == MAX_CONTINUED
    assert set(range(120, 125)) < set(rows)
    assert {sum(row < 60 for row in rows), sum(60 <= row < 120 for row in rows)} <= {47, 48}
    assert rows_to_continue(entry, 4) == [0, 60, 120, 124]  # the nearest of those that none recites
