"""Says what a folder without weights of a model holds instead, and what to name in its place."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from pytest_kdmem.errors.harmless import listed

# What a trainer writes beside the weights to go on from.
TRAINING_STATE = "training_args.bin", "optimizer.*", "scheduler.*", "scaler.*", "rng_state*", "*_optim_states.pt"
TOKENIZER = "tokenizer.json", "tokenizer.model", "tokenizer_config.json", "vocab.json", "spiece.model"
# What is found in a folder, by patterns of names, with the words for it and the way out; the first that fits is told.
KINDS: tuple[tuple[Sequence[str], str, str], ...] = (
    (("training.json",), "an unfinished training of kdmem distill", "run its command again, and audit its --out"),
    (
        ("latest_checkpointed_iteration.txt", "iter_[0-9]*", "mp_rank_*"),
        "checkpoints of Megatron",
        "convert one to the layout of transformers",
    ),
    (
        ("zero_to_fp32.py", "global_step[0-9]*"),
        "a training checkpoint of DeepSpeed",
        "gather its weights by zero_to_fp32.py, and save them with save_pretrained",
    ),
    (
        ("*.distcp", "pytorch_model_fsdp_*"),
        "a training checkpoint of FSDP",
        "merge its shards (accelerate merge-weights), and save the model with save_pretrained",
    ),
    (
        (*TRAINING_STATE, "trainer_state.json"),
        "the state of a training without its model",
        "save the model itself with save_model of its trainer",
    ),
    (("model_index.json",), "a pipeline of diffusers", "name a causal language model"),
    (
        ("*.h5", "*.msgpack", "*.onnx"),
        "weights of TensorFlow, Flax or ONNX",
        "save the model again with save_pretrained of PyTorch",
    ),
    (
        ("dataset_info.json", "dataset_dict.json", "*.arrow", "*.parquet", "*.jsonl*", "*.npy"),
        "a dataset",
        "name a model here, and this folder as a training set",
    ),
)


def folder_kind(folder: Path) -> str:
    """What a folder without weights holds instead, with the way out, as the end of a sentence that names the folder."""
    names = sorted(path.name for path in folder.iterdir())
    if not names:
        return "it is empty; check the path, or whether the training that writes there has ended"
    if models := sorted({path.parent.name for path in folder.glob("*/*.safetensors*")}):
        return f"there are some in folders below it ({listed(models)}); name one of these"
    for patterns, words, way_out in KINDS:
        if any(_fits(name, patterns) for name in names):
            return f"it holds {words}; {way_out}"
    has_tokenizer = any(name in TOKENIZER for name in names)
    if "config.json" in names:
        beside = "configuration and a tokenizer" if has_tokenizer else "a configuration"
        return f"it holds only {beside}; copy the weights beside them, or save the model again with save_pretrained"
    if has_tokenizer:
        return "it holds only a tokenizer; name the folder of the model"
    return f"it holds other files ({listed(names)}); check the path"


def is_training_state(name: str) -> bool:
    """Whether a file is a trainer's state, and holds no weights."""
    return _fits(name, TRAINING_STATE)


def _fits(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
