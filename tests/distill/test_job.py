"""A job is checked before anything is loaded, and its digest covers all that the result depends on."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_kdmem.distill.job import DeclaredJob, OpenedData, open_job
from pytest_kdmem.distill.recipe import Recipe
from pytest_kdmem.errors import DataError, SpecError
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet


@pytest.fixture
def declared(init, teacher, rows, extraction) -> DeclaredJob:
    return DeclaredJob(Recipe(), init, TrainingSet(str(rows)), teacher, None, extraction)


def digest(job: DeclaredJob) -> str:
    return open_job(job, offline=True).digest


def test_every_part_of_a_job_changes_its_digest(declared, init, teacher, seven_rows):
    changes = [
        {},
        {"recipe": Recipe(seed=1)},
        {"init": teacher},
        {"teacher": init},
        {"teacher": replace(teacher, dtype="bfloat16")},
        {"training_set": TrainingSet(str(seven_rows))},
        {"held_out": TrainingSet(str(seven_rows))},
        {"held_out": declared.training_set},
        {"extraction": Extraction(8, 8, 20)},
    ]
    assert len({digest(replace(declared, **change)) for change in changes}) == len(changes)


def test_the_digest_does_not_depend_on_where_files_are(declared, init, rows, tmp_path):
    shutil.copytree(init.source, tmp_path / "init")
    shutil.copyfile(rows, tmp_path / "copy.npy")
    moved = replace(declared, init=Model(str(tmp_path / "init")), training_set=TrainingSet(str(tmp_path / "copy.npy")))
    assert digest(moved) == digest(declared)


def test_all_of_a_training_set_is_trained_on_whatever_sample_an_audit_takes(declared):
    sampled = replace(declared, training_set=replace(declared.training_set, sample=3, seed=5))
    assert digest(sampled) == digest(declared)


def test_a_baseline_does_not_depend_on_the_teacher(declared, tmp_path):
    baseline = replace(declared, recipe=Recipe(mode="baseline"))
    assert open_job(baseline, offline=True).teacher is None
    assert digest(baseline) == digest(replace(baseline, teacher=None))


def test_data_without_a_fingerprint_are_told_apart_by_their_declaration():
    declarations = [
        TrainingSet("own/a"),
        TrainingSet("own/b"),
        TrainingSet("own/a", split="test"),
        TrainingSet("own/a", form="blocks"),
    ]
    assert len({OpenedData(declaration, None).digest for declaration in declarations}) == len(declarations)


@pytest.mark.parametrize("mode", ["soft", "hard"])
def test_a_student_needs_a_teacher(declared, mode):
    job = replace(declared, recipe=Recipe(mode=mode), teacher=None)
    with pytest.raises(SpecError, match=f"A teacher was expected for mode {mode}, and none was given; name one"):
        open_job(job, offline=True)


def test_what_is_not_there_is_told_before_weights_are_read(declared, tmp_path):
    broken = shutil.copytree(declared.init.source, tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"damaged")
    job = replace(declared, init=Model(str(broken)))
    with pytest.raises(SpecError, match="A teacher was expected"):
        open_job(replace(job, teacher=None), offline=True)
    with pytest.raises(SpecError, match="nowhere, and there is none"):
        open_job(replace(job, teacher=Model(str(tmp_path / "nowhere"))), offline=True)


def test_a_teacher_with_another_tokenizer_is_refused(declared, make_model):
    folder = make_model("pythia", seed=5)
    content = json.loads((folder / "tokenizer.json").read_text())
    content["model"]["merges"] = content["model"]["merges"][:-1]
    (folder / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(SpecError, match="expected to share a tokenizer"):
        open_job(replace(declared, teacher=Model(str(folder))), offline=True)


@pytest.mark.parametrize("role", ["init", "teacher"])
def test_a_window_with_more_tokens_than_a_model_has_positions_is_refused(declared, tmp_path, role):
    short = tmp_path / "short"
    shutil.copytree(getattr(declared, role).source, short)
    config = json.loads((short / "config.json").read_text())
    (short / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 20}))
    with pytest.raises(
        SpecError,
        match=r"A window of at most 20 tokens was expected, because .*short has no more positions; window-tokens is 24",
    ):
        open_job(replace(declared, **{role: Model(str(short))}), offline=True)


@pytest.mark.parametrize("name", ["training_set", "held_out"])
def test_a_missing_training_set_is_an_error(declared, tmp_path, name):
    missing = TrainingSet(str(Path(tmp_path) / "nowhere.jsonl"))
    with pytest.raises(DataError, match=r"nowhere.jsonl"):
        open_job(replace(declared, **{name: missing}), offline=True)


def test_quantized_weights_are_not_trained(declared, tmp_path):
    quantized = shutil.copytree(declared.init.source, tmp_path / "quantized")
    config_file = quantized / "config.json"
    config = json.loads(config_file.read_text())
    config_file.write_text(json.dumps({**config, "quantization_config": {"quant_method": "gptq", "bits": 4}}))
    with pytest.raises(SpecError, match=r"Weights that can be trained were expected in .* by gptq; train the"):
        open_job(replace(declared, init=Model(str(quantized))), offline=True)
