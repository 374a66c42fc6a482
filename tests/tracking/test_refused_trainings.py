"""What cannot be measured is refused in one sentence before a training's first step."""

from __future__ import annotations

import datasets
import pytest
from peft import PromptTuningConfig, get_peft_model

from pytest_kdmem import MemorizationCallback
from pytest_kdmem.errors import EngineError, SpecError
from pytest_kdmem.specs.declared import Thresholds
from tests.tracking.trainings import (
    callback_of,
    random_ids,
    tiny_model,
    trainer_of,
    write_set,
)


def refusal(tmp_path, ids, training_set, **settings):
    """The error of a training before its first step."""
    trainer = trainer_of(tmp_path / "out", ids, callback_of(training_set, **settings))
    with pytest.raises((SpecError, EngineError)) as caught:
        trainer.train()
    assert trainer.state.global_step == 0
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_prompt_that_was_learned_is_refused(tmp_path, ids, training_set):
    model = get_peft_model(tiny_model(), PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4))
    with pytest.raises(SpecError, match="found an adapter of learned prompts: audit the saved model instead"):
        trainer_of(tmp_path / "out", ids, callback_of(training_set), model=model).train()


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
        ({"gates": {"max_memorization_rate": 2}}, "max-memorization-rate must be a share of at least 0 and below 1"),
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
