"""Secrets are found where they stand behind the prefix; places are stored without text, and only new ones are read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pytest_kdmem.errors import DataError
from pytest_kdmem.scoring.score import score
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.scoring.table import ScoreTable
from pytest_kdmem.secrets.examples import SecretsOfExamples
from pytest_kdmem.secrets.search import SecretSearch
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.runtime import RunSettings
from pytest_kdmem.specs.secret_settings import SECRET_CLASSES, SecretSettings
from tests.audit_project import PREFIX, SUFFIX, Cast
from tests.secrets.personal_words import EMAIL, PHONE, with_secrets

LENGTHS = Extraction(PREFIX, SUFFIX, PREFIX + SUFFIX)


@pytest.fixture
def scores(cast: Cast, tmp_path: Path) -> ScoreTable:
    np.save(tmp_path / "train.npy", cast.rows)
    student = with_secrets(cast.student, tmp_path / "student")
    return score(
        Model(str(student)),
        TrainingSet(str(tmp_path / "train.npy")),
        LENGTHS,
        ScoreStore(tmp_path / "store"),
        settings=RunSettings(engine="transformers", device="cpu"),
        metrics="verdict",
    )


def secrets_in(folder: Path) -> SecretsOfExamples:
    return SecretsOfExamples(SecretSearch(SecretSettings()), ScoreStore(folder / "store"))


def rows_of(scores: ScoreTable, *positions: int) -> pa.Table:
    return scores.rows.take(list(positions))


def test_places_are_those_of_the_first_secrets_behind_the_prefix(
    scores: ScoreTable, cast: Cast, tmp_path: Path
) -> None:
    places = secrets_in(tmp_path).places(scores, scores.rows)
    digests = scores.rows["digest"].to_pylist()
    for digest, row in zip(digests, cast.rows.tolist(), strict=True):
        by_class = {"email": EMAIL, "phone": PHONE}
        found = {name: [at for at, token in enumerate(row[PREFIX:]) if token in by_class[name]] for name in by_class}
        assert places[digest] == {name: at[0] for name, at in found.items() if at}
    assert set().union(*places.values()) == {"email", "phone"}


def test_the_store_has_places_by_digest_and_no_text(scores: ScoreTable, tmp_path: Path) -> None:
    expected = secrets_in(tmp_path).places(scores, scores.rows)
    (tmp_path / "train.npy").unlink()
    assert secrets_in(tmp_path).places(scores, scores.rows) == expected
    [entry] = (tmp_path / "store" / "secret-classes").iterdir()
    content = json.loads(entry.read_text())
    assert content["places"] == expected
    assert not {"example.com", "+44"} & {part for part in ("example.com", "+44") if part in entry.read_text()}
    assert entry.stat().st_mode & 0o077 == 0


def test_only_new_examples_are_read(scores: ScoreTable, tmp_path: Path) -> None:
    classes = secrets_in(tmp_path).places(scores, rows_of(scores, 0, 1))
    assert len(classes) == 2
    assert len(secrets_in(tmp_path).places(scores, rows_of(scores, 1, 5))) == 2
    [entry] = (tmp_path / "store" / "secret-classes").iterdir()
    assert len(json.loads(entry.read_text())["places"]) == 3


def test_another_training_set_in_its_place_is_refused(scores: ScoreTable, cast: Cast, tmp_path: Path) -> None:
    np.save(tmp_path / "train.npy", cast.rows[::-1])
    with pytest.raises(DataError, match="holds others"):
        secrets_in(tmp_path).places(scores, rows_of(scores, 0))


@pytest.mark.parametrize("by_class", ["email", {"email": -1}, {"email": "1"}, {"iban": 1}, None], ids=str)
def test_a_damaged_entry_is_searched_again(scores: ScoreTable, tmp_path: Path, by_class: object) -> None:
    expected = secrets_in(tmp_path).places(scores, scores.rows)
    store = ScoreStore(tmp_path / "store")
    [entry] = (tmp_path / "store" / "secret-classes").iterdir()
    places = dict.fromkeys(expected, by_class) if by_class else by_class
    store.write_entry("secret-classes", entry.stem, {"places": places})
    assert secrets_in(tmp_path).places(scores, scores.rows) == expected


def test_without_a_tokenizer_nothing_is_looked_for(scores: ScoreTable, tmp_path: Path) -> None:
    assert secrets_in(tmp_path).not_looked_for(scores).keys() == {"name", "address"}
    for file in (tmp_path / "student").glob("*token*"):
        file.unlink()
    assert secrets_in(tmp_path).not_looked_for(scores).keys() == set(SECRET_CLASSES)
