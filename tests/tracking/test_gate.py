"""A training holds its gate of the weights that it ends with, and a gate that was not held does not pass."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
import torch

from pytest_kdmem import TrainingSet
from pytest_kdmem.errors import GateError, SpecError
from tests.tracking.trainings import (
    STEPS,
    GreedyLoop,
    callback_of,
    logged,
    random_ids,
    recited,
    tiny_model,
    trainer_of,
    write_set,
)


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
    callback = callback_of(training_set, gates={"max_memorization_rate": 0.99})
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
    with pytest.raises(GateError, match="its training did not end normally"):
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


def test_gates_of_two_callbacks_are_counted_together(tmp_path, ids, training_set):
    """One callback over all rows, and one over a few: a tracker has one place for the gates that fail."""
    none, most = {"max_memorization_rate": 0.0}, {"max_memorization_rate": 0.99}
    never_trained_on = random_ids(4, seed=9)
    (tmp_path / "few").mkdir()
    few = write_set(tmp_path / "few", np.concatenate([ids[:4], never_trained_on]))
    red = callback_of(training_set, gates=none, role="red", on_failure="warn")
    green = callback_of(few, gates=most, role="green", run_cards=False)
    trainer = trainer_of(tmp_path / "out", ids, red, green)
    with pytest.warns(UserWarning, match="of red .* > 0.00%"):
        trainer.train()
    assert (red.failed, green.failed) == (True, False)
    assert logged(trainer, "kdmem/gates_failed")[60] == 1.0
    for role, callback in (("red", red), ("green", green)):
        assert logged(trainer, f"kdmem/{role}/memorization_rate")[60] == callback.rates[60].value
    assert green.rates[60].n == 8


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
    callback = callback_of(training_set, every="evaluation", gates={"max_memorization_rate": 0.99})
    trainer_of(tmp_path / "out", ids, callback, max_steps=4, eval_strategy="steps", eval_steps=2).train()
    callback.raise_if_failed()
    with pytest.raises(SpecError, match="eval_strategy"):
        trainer_of(tmp_path / "out", ids, callback, max_steps=4).train()
    with pytest.raises(GateError, match="the model was not measured"):
        callback.raise_if_failed()
