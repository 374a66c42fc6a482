"""A folder without weights is refused by what it holds instead, with the way out."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.specs.model_folder import WEIGHTS, refusal


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        ([], "it is empty"),
        (["tokenizer.json", "tokenizer_config.json"], "it holds only a tokenizer; name the folder of the model"),
        (["config.json", "tokenizer.json"], "it holds only configuration and a tokenizer"),
        (["config.json"], "it holds only a configuration; copy the weights"),
        (["dataset_info.json", "state.json", "data-00000-of-00001.arrow"], "it holds a dataset; name a model here"),
        (["train.jsonl.gz"], "it holds a dataset"),
        (["training.json", "checkpoint-3/state.json"], "an unfinished training of kdmem distill"),
        (["latest_checkpointed_iteration.txt", "iter_0000500/mp_rank_00/other"], "checkpoints of Megatron"),
        (["zero_to_fp32.py", "latest", "global_step500/x.pt", "rng_state_0.pth"], "a training checkpoint of DeepSpeed"),
        (["pytorch_model_fsdp_0/__0_0.distcp", "training_args.bin", "trainer_state.json"], "checkpoint of FSDP"),
        (["training_args.bin", "optimizer.pt", "config.json"], "the state of a training without its model; save the"),
        (["model_index.json"], "a pipeline of diffusers"),
        (["tf_model.h5", "config.json"], "weights of TensorFlow"),
        (["checkpoint-9/model.safetensors", "checkpoint-5/model.safetensors"], "below it (checkpoint-5, checkpoint-9)"),
        (["notes.txt"], "it holds other files (notes.txt); check the path"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) and value else None,
)
def test_what_a_folder_holds_is_told(tmp_path: Path, names: list[str], kind: str) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text("{}")
    sentence = refusal(tmp_path)
    assert sentence.startswith("Weights ")
    assert kind in sentence


def test_a_model_whose_weights_were_left_behind_is_told_apart_from_one_of_another_name(copied: Path) -> None:
    (copied / WEIGHTS).unlink()
    assert "it holds only configuration and a tokenizer" in refusal(copied)
