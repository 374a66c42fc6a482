"""The model of a trainer is taken as it computes, and one that is trained in an untested way is refused."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from peft import LoraConfig, PromptTuningConfig, get_peft_model

from pytest_kdmem.errors import SpecError
from pytest_kdmem.tracking.trainer_model import live_model
from tests.tracking.trainings import random_ids, tiny_model, trainer_of


@pytest.mark.parametrize(
    ("settings", "weights", "dtype"),
    [
        ({}, torch.float32, torch.float32),
        ({}, torch.bfloat16, torch.bfloat16),
        ({"bf16": True}, torch.float32, torch.bfloat16),
    ],
)
def test_it_computes_as_the_training_does(
    tmp_path: Path, settings: dict[str, Any], weights: torch.dtype, dtype: torch.dtype
) -> None:
    trainer = trainer_of(
        tmp_path, random_ids(), model=tiny_model().to(weights), per_device_eval_batch_size=3, **settings
    )
    live = live_model(trainer, None)
    assert (live.dtype, live.batch_size, live.is_sharded) == (dtype, 3, False)
    assert live.inner is trainer.model
    assert live_model(trainer, 5).batch_size == 5


def test_an_adapter_of_matrices_is_scored_and_one_of_prompts_is_refused(tmp_path: Path) -> None:
    lora = get_peft_model(tiny_model(), LoraConfig(target_modules=["query_key_value"]))
    assert live_model(trainer_of(tmp_path, random_ids(), model=lora), None).name == "GPTNeoXForCausalLM"
    prompts = get_peft_model(tiny_model(), PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4))
    with pytest.raises(SpecError, match="found an adapter of learned prompts: audit the saved model instead"):
        live_model(trainer_of(tmp_path, random_ids(), model=prompts), None)


@pytest.mark.parametrize(
    ("name", "found"), [("tp", "tensor parallelism"), ("cp", "context parallelism"), ("sp", "sequence parallelism")]
)
def test_models_that_several_devices_compute_together_are_refused(tmp_path: Path, name: str, found: str) -> None:
    """By what accelerate says of them, as one device can run none."""
    trainer = trainer_of(tmp_path, random_ids())
    enabled = {f"{each}_enabled": each == name for each in ("tp", "cp", "sp")}
    trainer.accelerator = SimpleNamespace(parallelism_config=SimpleNamespace(**enabled))  # type: ignore[assignment]
    with pytest.raises(SpecError, match=f"found {found}: audit the saved model instead"):
        live_model(trainer, None)
    trainer.is_deepspeed_enabled = True
    with pytest.raises(SpecError, match="found DeepSpeed"):
        live_model(trainer, None)
