"""Ways to a model that is silently wrong, or to a training lost: each is refused, or made good."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset
from transformers import MixtralConfig, MixtralForCausalLM

from pytest_kdmem.distill import job, publish
from pytest_kdmem.distill import train as train_module
from pytest_kdmem.distill.execution import Execution
from pytest_kdmem.distill.loss_forward import CROSS_ENTROPY, forward_returns_loss
from pytest_kdmem.distill.recipe import Recipe
from pytest_kdmem.distill.run import distill_once
from pytest_kdmem.distill.teachers import LiveTeacher
from pytest_kdmem.engines.transformers.loading import load_model
from pytest_kdmem.errors import EngineError, SpecError
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet


def test_a_teacher_is_whole_in_every_process_that_fsdp_launches(teacher, monkeypatch):
    """accelerate lets processes other than the first load zeros, for FSDP to fill; nothing would fill a teacher."""
    for name in ("ACCELERATE_USE_FSDP", "FSDP_CPU_RAM_EFFICIENT_LOADING"):
        monkeypatch.setenv(name, "true")
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    model = load_model(teacher, open_checkpoint(teacher), dtype="float32")
    assert all(weight.abs().sum() > 0 for name, weight in model.named_parameters() if name.endswith("weight"))


def test_a_model_of_zeros_is_no_teacher(toy):
    model = toy("olmo2")
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
    with pytest.raises(EngineError, match="its head holds zeros"):
        LiveTeacher(model, 2.0)


def test_router_losses_are_not_dropped_silently():
    config = MixtralConfig(
        vocab_size=40, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, num_local_experts=2, output_router_logits=True,
    )  # fmt: skip
    with (
        pytest.raises(EngineError, match="output_router_logits"),
        forward_returns_loss(MixtralForCausalLM(config), CROSS_ENTROPY),
    ):
        pass


def test_data_that_only_streaming_would_tell_apart_is_told_apart_by_how_it_was_asked_for(init, monkeypatch):
    monkeypatch.setattr(job, "check_source", lambda data: None)
    how = {"init": init, "teacher": None, "held_out": None, "extraction": Extraction(8, 8, 24)}
    asked = [TrainingSet("own/a"), TrainingSet("own/b"), TrainingSet("own/a", split="test")]
    asked.append(TrainingSet("own/a", form="blocks"))
    opened = [
        job.open_job(job.DeclaredJob(Recipe(mode="baseline"), training_set=data, **how), offline=True) for data in asked
    ]
    assert {one.training_set.fingerprint for one in opened} == {None}
    assert len({one.digest for one in opened}) == len(asked)


@pytest.mark.parametrize("who", ["init", "teacher"])
def test_a_window_longer_than_a_models_positions_is_refused(init, teacher, tmp_path, train, who):
    short = tmp_path / "short"
    shutil.copytree((init if who == "init" else teacher).source, short)
    config = json.loads((short / "config.json").read_text())
    (short / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 20}))
    models = {"teacher": teacher} | {who: Model(str(short))}
    how = {"init": models["init"]} if who == "init" else {}
    with pytest.raises(SpecError, match=r"A window of at most 20 tokens was expected, because .*short has"):
        train(teacher=models["teacher"], how=how)


def test_a_start_whose_generation_settings_contradict_each_other_is_trained_and_saved(init, train, tmp_path):
    odd = tmp_path / "odd"
    shutil.copytree(init.source, odd)
    (odd / "generation_config.json").write_text(json.dumps({"do_sample": False, "temperature": 0.6}))
    made = Path(train(mode="baseline", how={"init": Model(str(odd))}).source)
    assert json.loads((made / "generation_config.json").read_text())["temperature"] == 0.6


def test_a_model_that_cannot_be_written_costs_no_step(train, monkeypatch, tmp_path):
    write = publish._write_model
    monkeypatch.setattr(publish, "_write_model", lambda *arguments: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        train(mode="baseline", epochs=2)
    monkeypatch.setattr(publish, "_write_model", write)
    told: list[str] = []
    train(mode="baseline", epochs=2, how={"report": told.append})
    assert told[0].endswith("resuming at step 4")
    assert len(told) == 1, "no epoch was trained again"


def test_a_checkpoint_of_broken_weights_replaces_no_good_one(train, monkeypatch, tmp_path):
    """A loss is looked at when it is logged; between two log lines a checkpoint may come due."""
    real = train_module.training_arguments

    def rarely_logged(*arguments):
        found = real(*arguments)
        found.logging_steps = 1000
        return found

    monkeypatch.setattr(train_module, "training_arguments", rarely_logged)
    with pytest.raises(EngineError, match="A finite loss was expected"):
        train(mode="baseline", epochs=20, learning_rate=1e30, max_gradient_norm=0.0, how={
            "execution": Execution(checkpoint_minutes=0)
        })  # fmt: skip
    assert not (tmp_path / "out").exists()


def test_several_processes_are_told_to_use_the_command(init, rows, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(SpecError, match="WORLD_SIZE is 2; several train one model together"):
        distill_once(Recipe(mode="baseline"), init=init, training_set=TrainingSet(str(rows)), models_dir=tmp_path)


def test_nothing_is_differentiated_where_nothing_asks_for_it(toy, monkeypatch):
    model = toy()
    ids = torch.arange(1, 9)[None]
    with forward_returns_loss(model, CROSS_ENTROPY), torch.no_grad():
        monkeypatch.setattr(torch.Tensor, "addmm_", lambda *_: pytest.fail("the head's gradient was taken"))
        assert float(model(input_ids=ids, labels=ids)) > 0


def test_tokens_are_counted_without_what_the_teacher_said():
    from pytest_kdmem.distill.stored_rows import count_tokens

    rows = Dataset.from_dict({"input_ids": [[1, 2], [3]], "teacher_ids": [[0] * 9, [0]]}).with_format("numpy")
    assert count_tokens(rows) == 3
    assert isinstance(rows[0]["input_ids"], np.ndarray)
