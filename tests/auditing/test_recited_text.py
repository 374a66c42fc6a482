"""The text of an example is what its tokens stand for, or the token ids if the model has no tokenizer."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from pytest_kdmem.auditing.recited_text import with_text
from pytest_kdmem.auditing.schema_examples import ExamplesEntry
from pytest_kdmem.errors import DataError
from pytest_kdmem.scoring.score import score
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.scoring.table import ScoreTable
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.runtime import RunSettings
from tests.audit_project import PREFIX, SUFFIX, Cast

LISTED = ExamplesEntry((2, 5), ("d", "e"), (1, 1), (None, None), (None, None), {})


def scores_of(model: Path, folder: Path, cast: Cast) -> ScoreTable:
    np.save(folder / "train.npy", cast.rows)
    return score(
        Model(str(model)),
        TrainingSet(str(folder / "train.npy")),
        Extraction(PREFIX, SUFFIX, PREFIX + SUFFIX),
        ScoreStore(folder / "store"),
        settings=RunSettings(engine="transformers", device="cpu"),
        metrics="verdict",
    )


def test_prefix_and_suffix_are_decoded(cast: Cast, tmp_path: Path) -> None:
    entry = with_text(LISTED, scores_of(cast.student, tmp_path, cast))
    for row, prefix, suffix in zip(LISTED.example_id, entry.prefix, entry.suffix, strict=True):
        words = cast.texts[row].split()
        assert (prefix.split(), suffix.split()) == (words[:PREFIX], words[PREFIX:])


def test_without_a_tokenizer_the_token_ids_are_shown(cast: Cast, tmp_path: Path) -> None:
    model = Path(shutil.copytree(cast.student, tmp_path / "model"))
    for file in model.glob("*token*"):
        file.unlink()
    entry = with_text(LISTED, scores_of(model, tmp_path, cast))
    assert entry.prefix[0] == " ".join(map(str, cast.rows[2][:PREFIX]))
    assert entry.suffix[1] == " ".join(map(str, cast.rows[5][PREFIX:]))


def test_a_training_set_that_is_gone_is_an_error(cast: Cast, tmp_path: Path) -> None:
    scores = scores_of(cast.student, tmp_path, cast)
    (tmp_path / "train.npy").unlink()
    with pytest.raises(DataError):
        with_text(LISTED, scores)
