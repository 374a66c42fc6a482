"""Which rows a recipe trains on, when the teacher's rows are reused, and which data are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pytest_kdmem.errors import DataError
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from tests.corpus.megatron_files import write_pair


@pytest.fixture
def loads(train, teacher, tmp_path):
    """Trains with a cache of the teacher's rows, and returns how often the teacher was loaded."""

    def run(name: str, *, training_set: TrainingSet | None = None, **recipe) -> int:
        lines: list[str] = []
        arguments = {"teacher": teacher, "cache_dir": tmp_path / "cache", "report": lines.append}
        train(name, arguments=arguments | ({"training_set": training_set} if training_set else {}), **recipe)
        return lines.count(f"learning from {teacher.name}")

    return run


def test_runs_that_share_a_cache_load_the_teacher_once(loads, tmp_path, seven_rows):
    assert loads("first", teacher_top_k=8) == 1
    assert loads("another learning rate", teacher_top_k=8, learning_rate=1e-3) == 0
    # Log-probabilities are those of one temperature, one k and one training set.
    assert loads("another temperature", teacher_top_k=8, temperature=1.0) == 1
    assert loads("another k", teacher_top_k=9) == 1
    assert loads("other data", teacher_top_k=8, training_set=TrainingSet(str(seven_rows))) == 1
    assert len(list((tmp_path / "cache-text" / "teachers").iterdir())) == 4


def test_runs_that_share_a_cache_generate_text_once(loads):
    assert loads("first", mode="hard") == 1
    assert loads("another learning rate", mode="hard", learning_rate=1e-3) == 0


def test_without_a_cache_nothing_is_left(train, teacher, tmp_path):
    train(arguments={"teacher": teacher}, teacher_top_k=8)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_id_outside_the_vocabulary_is_an_error_that_names_the_example(train, tmp_path):
    ids = np.ones((4, 24), dtype=np.int32)
    ids[2, 5] = 300
    np.save(tmp_path / "wild.npy", ids)
    with pytest.raises(DataError, match=r"Ids below 300 were expected in .*wild.npy; example 2 holds 300"):
        train(mode="baseline", arguments={"training_set": TrainingSet(str(tmp_path / "wild.npy"))})
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("mode", ["soft", "hard"])
def test_an_id_outside_the_teachers_vocabulary_is_an_error(train, make_model, teacher, tmp_path, mode):
    """The student's embedding is padded, and the teacher's is not."""
    np.save(tmp_path / "wild.npy", np.full((4, 24), 310))
    arguments = {
        "teacher": teacher,
        "init": Model(str(make_model("pythia", seed=2, vocabulary=320))),
        "training_set": TrainingSet(str(tmp_path / "wild.npy")),
    }
    with pytest.raises(DataError, match=r"Ids below 300 were expected"):
        train(mode=mode, arguments=arguments)


def test_a_training_set_without_an_example_that_predicts_a_token_is_an_error(train, tmp_path):
    np.save(tmp_path / "short.npy", np.ones((4, 1), dtype=np.int32))
    with pytest.raises(DataError, match=r"Examples to train on were expected in .*short.npy, and there are none"):
        train(mode="baseline", arguments={"training_set": TrainingSet(str(tmp_path / "short.npy"))})


def test_in_mode_hard_a_training_set_without_a_whole_prefix_is_an_error(train, teacher, tmp_path):
    np.save(tmp_path / "short.npy", np.ones((3, 6), dtype=np.int32))
    arguments = {"teacher": teacher, "training_set": TrainingSet(str(tmp_path / "short.npy"))}
    with pytest.raises(DataError, match=r"Examples of 8 tokens or more were expected in .*short.npy for the teacher"):
        train(mode="hard", arguments=arguments)
    assert not (tmp_path / "out").exists()


def test_a_token_file_trains_what_its_rows_train(train, tmp_path):
    rows = np.random.default_rng(0).integers(1, 60, (6, 12))
    np.save(tmp_path / "a.npy", rows)
    (tmp_path / "flat.bin").write_bytes(rows.astype("<u2").tobytes())
    declared = {
        "rows": TrainingSet(str(tmp_path / "a.npy")),
        "pair": TrainingSet(str(write_pair(tmp_path / "pair.bin", rows.tolist()))),
        "flat": TrainingSet(str(tmp_path / "flat.bin"), dtype="uint16", form="blocks"),
    }
    weights = set()
    for name, data in declared.items():
        arguments = {"training_set": data, "extraction": Extraction(4, 4, 12)}
        out = train(name, mode="baseline", arguments=arguments, epochs=1)
        weights.add((Path(out.source) / "model.safetensors").read_bytes())
    assert len(weights) == 1
