"""What is loaded for a training: the loss of a recipe, and a teacher whose embedding may be padded otherwise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BloomConfig, BloomForCausalLM

from pytest_kdmem.distill.losses import Objective
from pytest_kdmem.distill.prepare import objective_of
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
