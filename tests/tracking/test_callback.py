"""A training measures what its model recites, and ends as it would have without."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model

from pytest_kdmem import TrainingSet
from pytest_kdmem.errors import SpecError
from tests.tracking.trainings import (
    RATE,
    GreedyLoop,
    callback_of,
    logged,
    recited,
    tiny_model,
    trainer_of,
)

LAYERS = ["query_key_value", "dense_h_to_4h", "dense_4h_to_h"]


def test_figures_in_the_history_are_those_of_a_greedy_loop(tmp_path, ids, training_set):
    loop, callback = GreedyLoop(ids, 10), callback_of(training_set)
    trainer = trainer_of(tmp_path / "out", ids, loop, callback)
    trainer.train()
    assert logged(trainer) == {step: count / len(ids) for step, count in loop.counts.items()}
    assert sorted(loop.counts) == [0, 10, 20, 30, 40, 50, 60]
    assert loop.counts[0] == 0
    assert loop.counts[60] > 8
    assert logged(trainer, f"{RATE}_high") == {step: rate.high for step, rate in callback.rates.items()}
    assert callback.rates[60].exhaustive
    # The trainer's own lines of the same steps are there as well.
    assert sorted(logged(trainer, "loss")) == [10, 20, 30, 40, 50, 60]
    assert not callback.failed
    with pytest.raises(SpecError, match="A gate was expected, such as"):
        callback.raise_if_failed()


@pytest.mark.parametrize(
    "adapter",
    [
        LoraConfig(r=16, lora_alpha=64, target_modules=[*LAYERS, "lm_head"], lora_dropout=0.1),
        LoraConfig(r=16, use_dora=True, target_modules=LAYERS, modules_to_save=["lm_head", "embed_in"]),
    ],
    ids=["a head with LoRA", "a head of its own, and DoRA"],
)
def test_figures_of_an_adapter_are_those_of_the_unmerged_model(tmp_path, ids, training_set, adapter):
    loop, callback = GreedyLoop(ids, 20), callback_of(training_set, every=20)
    model = get_peft_model(tiny_model(), adapter)
    trainer = trainer_of(tmp_path / "out", ids, loop, callback, model=model)
    trainer.train()
    assert logged(trainer) == {step: count / len(ids) for step, count in loop.counts.items()}
    assert loop.counts[0] < 2 < loop.counts[60]
    assert recited(model.merge_and_unload(), ids) > 2


def test_a_compiled_model_is_scored_as_it_was_written(tmp_path, ids, training_set):
    """Without a compilation for the shapes of the callback, which the trainer's own steps would pay for."""
    compilations = []

    def backend(graph, inputs):
        compilations[-1] += 1
        return graph.forward

    callback = callback_of(training_set, every=5)
    for callbacks in ([], [callback]):
        compilations.append(0)
        torch.compiler.reset()
        model = tiny_model()
        model.compile(backend=backend, dynamic=False)
        trainer = trainer_of(tmp_path / "out", ids, *callbacks, model=model, max_steps=20)
        trainer.train()
    assert compilations[0] == compilations[1] > 0
    assert callback.rates[20].k == recited(tiny_like(trainer.model), ids)


def tiny_like(model):
    """A model of the same weights that is not compiled."""
    plain = tiny_model()
    plain.load_state_dict(model.state_dict())
    return plain


def weights_and_random_state(trainer):
    weights = {name: weight.clone() for name, weight in trainer.model.state_dict().items()}
    modes = [part.training for part in trainer.model.modules()]
    return weights, torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate(), modes


def test_a_training_ends_in_the_same_weights_bit_for_bit(tmp_path, ids, training_set):
    """With dropout, gradient checkpointing and autocast, and with an evaluation in between."""
    ended = []
    for callbacks in ([], [callback_of(training_set, every=5)]):
        model = tiny_model(hidden_dropout=0.3, attention_dropout=0.3)
        settings = {"gradient_checkpointing": True, "bf16": True, "eval_strategy": "steps", "eval_steps": 10}
        trainer = trainer_of(tmp_path / "out", ids, *callbacks, model=model, max_steps=20, **settings)
        trainer.train()
        ended.append(weights_and_random_state(trainer))
        assert trainer.model.config.use_cache is False
    (plain, *plain_random), (measured, *measured_random) = ended
    assert plain.keys() == measured.keys()
    assert all(torch.equal(plain[name], measured[name]) for name in plain)
    assert torch.equal(plain_random[0], measured_random[0])
    assert plain_random[1:] == measured_random[1:]


def test_a_frozen_part_in_evaluation_mode_stays_in_it(tmp_path, ids, training_set):
    class Freeze(GreedyLoop):
        def on_step_begin(self, args, state, control, model=None, **context):
            if state.global_step == 1:
                assert not model.gpt_neox.embed_in.training
                assert model.training

    model = tiny_model()
    callback = callback_of(training_set, every=1)
    trainer = trainer_of(tmp_path / "out", ids, Freeze(ids, 100), callback, model=model, max_steps=2)
    model.train()
    model.gpt_neox.embed_in.eval()
    training_step = trainer.training_step

    def frozen_step(model, *arguments):
        loss = training_step(model, *arguments)
        model.gpt_neox.embed_in.eval()
        return loss

    trainer.training_step = frozen_step
    trainer.train()


@pytest.mark.parametrize(
    ("every", "settings", "steps"),
    [
        ("evaluation", {"eval_strategy": "steps", "eval_steps": 8}, [0, 8, 16, 20]),
        ("epoch", {"per_device_train_batch_size": 4}, [0, 4, 8, 12, 16, 20]),
        ("end", {}, [0, 20]),
        (15, {}, [0, 15, 20]),
    ],
)
def test_it_is_measured_as_often_as_is_said(tmp_path, ids, training_set, every, settings, steps):
    callback = callback_of(training_set, every=every)
    trainer = trainer_of(tmp_path / "out", ids, callback, max_steps=20, **settings)
    trainer.train()
    assert list(callback.rates) == list(logged(trainer)) == steps


def test_a_resumed_training_measures_no_step_twice(tmp_path, ids, training_set):
    settings = {"save_strategy": "steps", "save_steps": 10}
    trainer_of(tmp_path / "out", ids, callback_of(training_set), max_steps=10, **settings).train()
    callback = callback_of(training_set)
    trainer = trainer_of(tmp_path / "out", ids, callback, max_steps=20, **settings)
    trainer.train(resume_from_checkpoint=True)
    assert list(callback.rates) == [20]
    assert [entry["step"] for entry in trainer.state.log_history if RATE in entry] == [0, 10, 20]


def test_a_training_set_keeps_its_own_sample(tmp_path, ids, training_set):
    callback = callback_of(TrainingSet(training_set.source, sample=5, seed=3), every="end")
    trainer_of(tmp_path / "out", ids, callback, max_steps=2).train()
    assert callback.rates[2].n == 5
    assert not callback.rates[2].exhaustive
