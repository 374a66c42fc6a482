"""Models that a trainer saves have a run card with the curve of what they recite, which an audit trusts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from pytest_kdmem import MemorizationCallback, Model, SpecError
from pytest_kdmem.auditing.provenance import card_mismatches, read_trusted_card
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Extraction
from pytest_kdmem.specs.run_card import read_run_card
from pytest_kdmem.tracking.training_card import CURVE_POINTS, curve_of
from tests.tracking.trainings import LENGTHS, random_ids, tiny_model, trainer_of, write_set


def trained(folder, **settings):
    """A callback and its trainer after twenty steps, with checkpoints at the tenth and the last."""
    ids = random_ids()
    training_set = write_set(folder, ids)
    callback = MemorizationCallback(training_set, every=5, extraction=LENGTHS, **settings.pop("callback", {}))
    saving = {"max_steps": 20, "save_strategy": "steps", "save_steps": 10}
    trainer = trainer_of(folder / "out", ids, callback, **(saving | settings))
    trainer.train()
    return callback, trainer, training_set


def trusted_card(folder):
    card, warnings, mismatches = read_trusted_card("student", Model(folder), open_checkpoint(Model(folder)))
    assert (warnings, mismatches) == ([], [])
    return card


def test_checkpoints_and_the_saved_model_have_a_card_that_audits_trust(tmp_path):
    callback, trainer, training_set = trained(tmp_path)
    trainer.save_model()
    curve = tuple((step, rate.value) for step, rate in callback.rates.items())
    first, last, final = (trusted_card(tmp_path / name) for name in ("out/checkpoint-10", "out/checkpoint-20", "out"))
    assert last.memorization_curve == final.memorization_curve == curve
    assert first.memorization_curve == curve[:3]
    assert [step for step, _ in curve] == [0, 5, 10, 15, 20]
    assert (last.steps, last.mode, last.loss) == (20, "trainer", "loss of Trainer")
    assert [step for step, _ in last.loss_curve] == [10, 20]
    assert last.recipe["learning_rate"] == 1e-2
    assert last.training_set.reading == training_set.reading == {}
    for role in ("student", "baseline", "teacher"):
        assert card_mismatches(last, "model", role, "0" * 32, training_set, Extraction(8, 8, 256)) == []
    other = write_set(tmp_path, random_ids(seed=1))
    [mismatch] = card_mismatches(last, "model", "student", None, other, LENGTHS)
    assert mismatch.kind == "training-set"


def test_an_adapter_has_a_card_over_its_base(tmp_path):
    torch.manual_seed(0)
    tiny_model().save_pretrained(tmp_path / "base")
    base = AutoModelForCausalLM.from_pretrained(tmp_path / "base", dtype=torch.float32)
    adapter = LoraConfig(r=4, target_modules=["query_key_value"], task_type="CAUSAL_LM")
    callback, trainer, _ = trained(tmp_path, model=get_peft_model(base, adapter))
    trainer.save_model(str(tmp_path / "adapter"))
    callback.write_run_card(tmp_path / "adapter")
    for folder in ("out/checkpoint-20", "adapter"):
        card = trusted_card(tmp_path / folder)
        assert [step for step, _ in card.memorization_curve] == [0, 5, 10, 15, 20]
        assert card.init.digest == open_checkpoint(Model(tmp_path / "base")).digest


def test_an_adapter_of_a_base_that_is_nowhere_trains_all_the_same(tmp_path):
    adapter = LoraConfig(r=4, target_modules=["query_key_value"], task_type="CAUSAL_LM")
    with pytest.warns(UserWarning, match="no run card was written: "):
        _, trainer, _ = trained(tmp_path, model=get_peft_model(tiny_model(), adapter))
    assert trainer.state.global_step == 20


def test_no_card_is_written_where_none_is_wanted(tmp_path):
    trained(tmp_path, callback={"run_cards": False})
    assert list((tmp_path / "out").rglob("kdmem_run.json")) == []


def test_the_card_of_the_best_model_is_that_of_its_checkpoint(tmp_path):
    settings = {"eval_strategy": "steps", "eval_steps": 10, "load_best_model_at_end": True}
    _, trainer, _ = trained(tmp_path, **settings, metric_for_best_model="loss", greater_is_better=True)
    assert trainer.state.best_global_step == 10
    assert (
        read_run_card(tmp_path / "out").weights == open_checkpoint(Model(tmp_path / "out/checkpoint-10")).weights_digest
    )


def test_a_card_needs_a_training(tmp_path):
    callback = MemorizationCallback(write_set(tmp_path, random_ids()))
    with pytest.raises(SpecError, match="A training with this callback was expected before its run card"):
        callback.write_run_card(tmp_path)


def test_a_curve_of_very_many_steps_is_thinned_and_keeps_its_end():
    history = [{"step": step, "loss": step / 2} for step in range(3 * CURVE_POINTS + 1)] + [{"step": 7, "other": 1.0}]
    curve = curve_of(history, "loss")
    assert len(curve) <= CURVE_POINTS
    assert curve[-1] == (3 * CURVE_POINTS, 1.5 * CURVE_POINTS)
    assert len(set(np.diff([step for step, _ in curve]))) == 1
    assert curve_of(history, "other") == ((7, 1.0),)
    assert curve_of(history, "none") == ()
