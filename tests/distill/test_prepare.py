"""What is loaded for a training: the loss of a recipe, and a teacher whose embedding may be padded otherwise."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, BloomConfig, BloomForCausalLM

from pytest_kdmem.distill import prepare
from pytest_kdmem.distill.losses import Objective
from pytest_kdmem.distill.prepare import dtype_on_cpu, objective_of
from pytest_kdmem.distill.recipe import Recipe
from pytest_kdmem.errors import EngineError
from pytest_kdmem.specs.declared import Model, TrainingSet


@pytest.mark.parametrize(
    ("recipe", "objective"),
    [
        (
            Recipe(divergence="jsd", temperature=3.0, jsd_weight=0.25, cross_entropy_weight=0.5),
            Objective("jsd", 3.0, 0.25, 0.5, vocabulary=10),
        ),
        (Recipe(mode="baseline", cross_entropy_weight=0.5), Objective(None, 2.0, vocabulary=10)),
        (Recipe(mode="hard", cross_entropy_weight=0.5), Objective(None, 2.0, vocabulary=10)),
    ],
    ids=["soft", "baseline", "hard"],
)
def test_only_soft_recipes_have_a_divergence(recipe, objective):
    assert objective_of(recipe, 10) == objective


@pytest.mark.parametrize("multiplies_bfloat16", [True, False])
@pytest.mark.parametrize("precision", ["bfloat16", "float32"])
@pytest.mark.parametrize("stored", ["bfloat16", "float16", "float32"])
def test_a_teacher_is_in_bfloat16_on_a_cpu_only_if_that_is_faster_and_rounds_no_weight(
    stored, precision, multiplies_bfloat16
):
    expected = "bfloat16" if (stored, precision, multiplies_bfloat16) == ("bfloat16", "bfloat16", True) else "float32"
    assert dtype_on_cpu(stored, precision, multiplies_bfloat16=multiplies_bfloat16) == expected


@pytest.mark.parametrize(
    ("recipe", "dtype"), [({}, "bfloat16"), ({"teacher_top_k": 4}, "float32"), ({"mode": "hard"}, "float32")], ids=str
)
def test_rows_that_are_stored_are_made_in_float32_on_every_cpu(train, half_teacher, monkeypatch, recipe, dtype):
    monkeypatch.setattr(prepare, "has_bfloat16_units", lambda: True)
    loaded = []

    def load_model(declared, *arguments, **settings):
        if declared is half_teacher:
            loaded.append(settings["dtype"])
        return load_really(declared, *arguments, **settings)

    load_really = prepare.load_model
    monkeypatch.setattr(prepare, "load_model", load_model)
    train(arguments={"teacher": half_teacher}, precision="bfloat16", **recipe)
    assert loaded == [dtype]


@pytest.fixture
def half_teacher(teacher, tmp_path) -> Model:
    """The teacher, stored in bfloat16."""
    folder = tmp_path / "half"
    shutil.copytree(teacher.source, folder)
    AutoModelForCausalLM.from_pretrained(teacher.source, dtype=torch.bfloat16).save_pretrained(folder)
    return Model(str(folder))


@pytest.mark.parametrize(("student_rows", "teacher_rows"), [(320, 384), (384, 320), (300, 320)])
def test_embeddings_may_be_padded_to_different_sizes(train, make_model, weights, student_rows, teacher_rows):
    student = Model(str(make_model("pythia", seed=2, vocabulary=student_rows)))
    teacher = Model(str(make_model("pythia", seed=1, vocabulary=teacher_rows)))
    model = train(arguments={"init": student, "teacher": teacher})
    before, after = weights(student)["embed_out.weight"], weights(model)["embed_out.weight"]
    assert torch.equal(before[300:].bfloat16(), after[300:])
    assert not torch.equal(before[:300].bfloat16(), after[:300])


@pytest.mark.parametrize(("recipe", "role"), [({"mode": "baseline"}, "init"), ({}, "teacher")], ids=["init", "teacher"])
def test_packing_is_refused_for_a_model_that_mixes_packed_examples(train, tmp_path, make_model, recipe, role):
    """BLOOM gives positions by attention to distance, whatever position ids say."""
    torch.manual_seed(0)
    bloom = BloomForCausalLM(BloomConfig(vocab_size=40, hidden_size=16, n_layer=2, n_head=2))
    bloom.save_pretrained(tmp_path / "bloom")
    keeps_apart = make_tokenless(make_model, tmp_path)
    np.save(tmp_path / "rows.npy", np.full((4, 24), 3))
    models = {"init": keeps_apart, "teacher": keeps_apart} | {role: Model(str(tmp_path / "bloom"))}
    with pytest.raises(EngineError, match=r"keeps packed examples apart was expected, and BloomForCausalLM does not"):
        train(packing=True, arguments={**models, "training_set": TrainingSet(str(tmp_path / "rows.npy"))}, **recipe)
    assert not (tmp_path / "out").exists()


def make_tokenless(make_model, tmp_path) -> Model:
    """A model of 40 token ids without a tokenizer."""
    folder = Path(make_model("pythia", seed=2, vocabulary=40)).rename(tmp_path / "tokenless")
    for file in folder.glob("*token*"):
        file.unlink()
    return Model(str(folder))
