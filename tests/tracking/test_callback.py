"""A training measures what its model recites, and ends as it would have without."""

from __future__ import annotations

import json
import random
import warnings

import datasets
import numpy as np
import pytest
import torch
from peft import LoraConfig, PromptTuningConfig, get_peft_model

from pytest_kdmem import MemorizationCallback, TrainingSet
from pytest_kdmem.errors import EngineError, GateError, SpecError
from pytest_kdmem.specs.declared import Thresholds
from tests.tracking.trainings import LENGTHS, STEPS, GreedyLoop, random_ids, recited, tiny_model, trainer_of, write_set

RATE = "kdmem/student/memorization_rate"
LAYERS = ["query_key_value", "dense_h_to_4h", "dense_4h_to_h"]


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def ids():
    return random_ids()


@pytest.fixture
def training_set(tmp_path, ids):
    return write_set(tmp_path, ids)


def callback_of(training_set, **settings):
    return MemorizationCallback(training_set, **({"every": 10, "extraction": LENGTHS} | settings))


def logged(trainer, name=RATE):
    return {entry["step"]: entry[name] for entry in trainer.state.log_history if name in entry}


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


def test_a_prompt_that_was_learned_is_refused(tmp_path, ids, training_set):
    model = get_peft_model(tiny_model(), PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4))
    with pytest.raises(SpecError, match="found an adapter of learned prompts: audit the saved model instead"):
        trainer_of(tmp_path / "out", ids, callback_of(training_set), model=model).train()


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


def test_a_gate_that_fails_stops_the_training(tmp_path, ids, training_set):
    callback = callback_of(training_set, gates={"max_memorization_rate": 0.2})
    trainer = trainer_of(tmp_path / "out", ids, callback)
    with pytest.warns(UserWarning, match=r"memorization rate of student .* > 20.00%; the training stops"):
        trainer.train()
    assert trainer.state.global_step < STEPS
    assert trainer.state.global_step == max(callback.rates)
    assert callback.failed
    failures = logged(trainer, "kdmem/gates_failed")
    assert failures == {step: float(rate.high > 0.2) for step, rate in callback.rates.items()}
    assert list(failures.values())[-2:] == [0.0, 1.0]
    with pytest.raises(GateError, match=r"A model that meets the gates .* memorization rate of student .* > 20.00%"):
        callback.raise_if_failed()


def test_a_gate_that_fails_may_only_warn(tmp_path, ids, training_set):
    callback = callback_of(training_set, gates={"max_memorization_rate": 0.2}, on_failure="warn")
    trainer = trainer_of(tmp_path / "out", ids, callback)
    with pytest.warns(UserWarning, match="> 20.00%; the training goes on"):
        trainer.train()
    assert trainer.state.global_step == STEPS
    assert callback.failed


def test_a_gate_that_holds_says_nothing(tmp_path, ids, training_set):
    callback = callback_of(training_set, gates={"max_memorization_rate": 1.0})
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        trainer_of(tmp_path / "out", ids, callback, max_steps=10).train()
    callback.raise_if_failed()


def test_a_gate_that_was_never_measured_does_not_hold(training_set):
    callback = callback_of(training_set, gates={"max_memorization_rate": 0.5})
    with pytest.raises(GateError, match="and the model was not measured"):
        callback.raise_if_failed()


def test_a_training_that_was_interrupted_holds_no_gate(tmp_path, ids, training_set):
    class Interrupt(GreedyLoop):
        def on_step_begin(self, args, state, control, **context):
            if state.global_step == 4:
                raise KeyboardInterrupt

    callback = callback_of(training_set, every="end", gates={"max_memorization_rate": 0.9})
    with pytest.raises(KeyboardInterrupt):
        trainer_of(tmp_path / "out", ids, Interrupt(ids, 100), callback).train()
    assert callback.failed
    with pytest.raises(GateError, match="its training did not end in order"):
        callback.raise_if_failed()


@pytest.mark.parametrize("gates", [0, 0.0, False, "", []])
def test_gates_are_no_number_and_no_text(training_set, gates):
    with pytest.raises(SpecError, match="Gates must be a mapping"):
        callback_of(training_set, gates=gates)


def test_a_gate_does_not_rest_on_the_few_examples_that_are_long_enough(tmp_path, ids):
    rows = [row if number < 4 else row[:-30] for number, row in enumerate(ids.tolist())]
    path = tmp_path / "short.jsonl"
    path.write_text("".join(json.dumps({"input_ids": row}) + "\n" for row in rows))
    short = TrainingSet(str(path))
    callback = callback_of(short, gates={"max_memorization_rate": 0.9})
    with pytest.raises(SpecError, match="are too short; give a shorter Extraction, or leave out the gate"):
        trainer_of(tmp_path / "out", ids, callback).train()


def test_the_gate_is_held_of_the_best_model_where_that_is_kept(tmp_path, ids, training_set):
    """The best model by the evaluation is that of the first steps, as the evaluation is over other rows."""
    callback = callback_of(training_set, every="end")
    settings = {"eval_strategy": "steps", "eval_steps": 10, "save_strategy": "steps", "save_steps": 10}
    trainer = trainer_of(tmp_path / "out", ids, callback, max_steps=40, **settings, load_best_model_at_end=True)
    trainer.eval_dataset = [{"input_ids": row, "labels": row} for row in random_ids(4, seed=1).tolist()]
    trainer.train()
    assert trainer.state.best_global_step == 10
    loop = GreedyLoop(ids, 1)
    loop.on_train_begin(None, None, None, model=trainer.model)
    assert callback.rates[10].k == loop.counts[0] < callback.rates[40].k
    assert logged(trainer)[10] == callback.rates[10].value


def test_a_model_that_cannot_be_measured_on_the_way_does_not_end_the_training(tmp_path, ids, training_set):
    class Diverge(GreedyLoop):
        def on_step_end(self, args, state, control, model=None, **context):
            if state.global_step == 4:
                model.get_output_embeddings().weight.data[:] = torch.nan

    callback = callback_of(training_set, every=4, gates={"max_memorization_rate": 0.9})
    trainer = trainer_of(tmp_path / "out", ids, Diverge(ids, 100), callback, max_steps=6)
    with pytest.warns(UserWarning, match="step 4: memorization could not be measured: Finite logits were expected of"):
        trainer.train()
    assert trainer.state.global_step == 6
    assert list(callback.rates) == [0]
    with pytest.raises(GateError, match="the model could not be measured at step 6"):
        callback.raise_if_failed()


def test_a_resumed_training_measures_no_step_twice(tmp_path, ids, training_set):
    settings = {"save_strategy": "steps", "save_steps": 10}
    trainer_of(tmp_path / "out", ids, callback_of(training_set), max_steps=10, **settings).train()
    callback = callback_of(training_set)
    trainer = trainer_of(tmp_path / "out", ids, callback, max_steps=20, **settings)
    trainer.train(resume_from_checkpoint=True)
    assert list(callback.rates) == [20]
    assert [entry["step"] for entry in trainer.state.log_history if RATE in entry] == [0, 10, 20]


def refusal(tmp_path, ids, training_set, **settings):
    """The error of a training before its first step."""
    trainer = trainer_of(tmp_path / "out", ids, callback_of(training_set, **settings))
    with pytest.raises((SpecError, EngineError)) as caught:
        trainer.train()
    assert trainer.state.global_step == 0
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_ids_of_another_vocabulary_are_refused_before_the_first_step(tmp_path, ids):
    foreign = ids.copy()
    foreign[3, 5] = 50_000
    message = refusal(tmp_path, ids, write_set(tmp_path, foreign))
    assert "Token ids from 0 to below 97 were expected" in message
    assert "example 3 holds 50000: the ids were made with another tokenizer" in message


def test_a_training_without_evaluations_cannot_be_measured_at_them(tmp_path, ids, training_set):
    assert 'set one, or every=STEPS, every="epoch" or every="end"' in refusal(
        tmp_path, ids, training_set, every="evaluation"
    )


def test_a_sample_too_small_to_pass_is_refused(tmp_path, ids, training_set):
    message = refusal(tmp_path, ids, training_set, sample=8, gates={"max_memorization_rate": 0.01})
    assert "cannot show ≤ 1.00% with 8 examples" in message
    assert "299 examples would decide it" in message


def test_examples_longer_than_the_model_are_refused(tmp_path):
    rows = random_ids(16, 128)
    message = refusal(tmp_path, random_ids(), write_set(tmp_path, rows), extraction=None)
    assert "At most 64 positions were expected by GPTNeoXForCausalLM, and prefix and suffix are 100 tokens" in message


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"gates": {"min_reduction": 2.0}}, "min_reduction need an audit"),
        ({"gates": Thresholds()}, "need an audit"),
        ({"gates": {"max_memorisation_rate": 0.1}}, "max_memorisation_rate"),
        ({"gates": {"max_memorization_rate": 2}}, "max-memorization-rate must be a number between 0 and 1"),
        ({"every": "step"}, "every must be a number of steps, or one of evaluation, epoch, end; found"),
        ({"every": 0}, "every must be"),
        ({"every": True}, "every must be"),
        ({"on_failure": "raise"}, "on_failure must be one of stop, warn"),
        ({"sample": 0}, "sample must be"),
    ],
)
def test_arguments_are_checked(training_set, settings, expected):
    with pytest.raises(SpecError, match=expected):
        callback_of(training_set, **settings)


def test_a_training_set_is_declared():
    with pytest.raises(SpecError, match="A TrainingSet was expected; found str"):
        MemorizationCallback("train.jsonl")


def test_a_training_set_keeps_its_own_sample(tmp_path, ids, training_set):
    callback = callback_of(TrainingSet(training_set.source, sample=5, seed=3), every="end")
    trainer_of(tmp_path / "out", ids, callback, max_steps=2).train()
    assert callback.rates[2].n == 5
    assert not callback.rates[2].exhaustive


def test_a_set_of_which_the_trainer_has_hardly_a_row_is_refused(tmp_path, ids):
    other = random_ids(len(ids), seed=7)
    other[0] = ids[0]
    rows = datasets.Dataset.from_list([{"input_ids": row, "labels": row} for row in ids.tolist()])
    trainer = trainer_of(tmp_path / "out", ids, callback_of(write_set(tmp_path, other)))
    trainer.train_dataset = rows
    with pytest.raises(SpecError, match=r"the rows hold 1 of \d+ examples of it"):
        trainer.train()


def test_two_callbacks_have_figures_and_a_card_each_or_none(tmp_path, ids, training_set):
    first = callback_of(training_set)
    for settings, expected in (
        ({}, 'found two of role "student"'),
        ({"role": "rare"}, "found two: give run_cards=False to the other"),
    ):
        trainer = trainer_of(tmp_path / "out", ids, first, callback_of(training_set, **settings))
        with pytest.raises(SpecError, match=expected):
            trainer.train()


def test_gates_of_two_callbacks_are_counted_together(tmp_path, ids, training_set):
    """One callback over all rows, and one over a few: a tracker has one place for the gates that fail."""
    none, all_ = {"max_memorization_rate": 0.0}, {"max_memorization_rate": 1.0}
    red = callback_of(training_set, gates=none, role="red", on_failure="warn")
    green = callback_of(training_set, gates=all_, role="green", run_cards=False)
    trainer = trainer_of(tmp_path / "out", ids, red, green)
    with pytest.warns(UserWarning, match="of red .* > 0.00%"):
        trainer.train()
    assert (red.failed, green.failed) == (True, False)
    assert logged(trainer, "kdmem/gates_failed")[60] == 1.0
    for role in ("red", "green"):
        assert logged(trainer, f"kdmem/{role}/memorization_rate")[60] == red.rates[60].value


def test_the_gate_is_held_of_the_weights_that_the_training_ends_with(tmp_path, ids, training_set):
    """Optimizers without a schedule and averages of weights put other weights in place at the last evaluation."""

    class Averaged(GreedyLoop):
        def on_evaluate(self, args, state, control, model=None, **context):
            if state.global_step == STEPS:
                model.load_state_dict(trained)

    trainer_of(tmp_path / "out", ids, model=(learned := tiny_model())).train()
    trained = learned.state_dict()
    callback = callback_of(training_set, gates={"max_memorization_rate": 0.2})
    settings = {"eval_strategy": "steps", "eval_steps": 30, "learning_rate": 1e-6}
    trainer = trainer_of(tmp_path / "out", ids, callback, Averaged(ids, 100), **settings)
    trainer.train()
    assert recited(trainer.model, ids) > 8
    assert callback.rates[60].k == recited(trainer.model, ids)
    assert logged(trainer)[60] == callback.rates[60].value
    with pytest.raises(GateError):
        callback.raise_if_failed()


def test_a_training_that_does_not_begin_leaves_nothing_of_the_one_before(tmp_path, ids, training_set):
    callback = callback_of(training_set, every="evaluation", gates={"max_memorization_rate": 1.0})
    trainer_of(tmp_path / "out", ids, callback, max_steps=4, eval_strategy="steps", eval_steps=2).train()
    callback.raise_if_failed()
    with pytest.raises(SpecError, match="eval_strategy"):
        trainer_of(tmp_path / "out", ids, callback, max_steps=4).train()
    with pytest.raises(GateError, match="the model was not measured"):
        callback.raise_if_failed()
