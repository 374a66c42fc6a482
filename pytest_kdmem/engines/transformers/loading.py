"""Loads a checkpoint as a transformers model and refuses one that lacks weights."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.utils import logging

from pytest_kdmem.errors import EngineError
from pytest_kdmem.specs.checkpoint import Checkpoint
from pytest_kdmem.specs.declared import Model


def load_model(
    model: Model, checkpoint: Checkpoint, *, dtype: str, device: str = "cpu", attention: str | None = None
) -> PreTrainedModel:
    """Load a model in evaluation mode.

    Args:
        model: The model as it was declared.
        checkpoint: Its files.
        dtype: Dtype of its weights, as torch names it.
        device: Device to place it on.
        attention: Attention implementation as transformers names it; chosen by transformers if None.

    Raises:
        EngineError: The model does not load, or the checkpoint lacks some of its weights.
    """
    try:
        with quiet(), _all_weights_in_every_process():
            result: Any = AutoModelForCausalLM.from_pretrained(
                str(checkpoint.folder),
                dtype=getattr(torch, dtype),
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=model.trust_remote_code,
                output_loading_info=True,
                attn_implementation=attention,
            )
        loaded, report = result
        placed: PreTrainedModel = loaded.to(device).eval()
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise EngineError(
            f"A causal language model was expected in {checkpoint.folder}; it does not load: {reason}"
        ) from error
    if missing := missing_weights(report):
        raise EngineError(
            f"All weights of {checkpoint.architecture} were expected in {checkpoint.folder}; {len(missing)} are missing"
            f" or of another shape (first: {missing[0]}): save the whole model again."
        )
    return placed


def missing_weights(loading_info: dict[str, Any]) -> list[str]:
    """Names of weights that the checkpoint lacks or has in another shape, from the loading info of transformers.

    transformers fills these with random numbers, and a random model recites nothing.
    """
    return sorted(loading_info["missing_keys"]) + sorted(str(key) for key in loading_info["mismatched_keys"])


@contextmanager
def _all_weights_in_every_process() -> Iterator[None]:
    """Load the real weights in each process of an FSDP run.

    By default launchers of FSDP let all processes but the first load zeros, which sharding overwrites. Models loaded
    here, such as a teacher, are not sharded.
    """
    name = "FSDP_CPU_RAM_EFFICIENT_LOADING"
    before = os.environ.pop(name, None)
    try:
        yield
    finally:
        if before is not None:
            os.environ[name] = before


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether memory ran out. The CPU's allocator raises no type of its own, so its message is searched."""
    return isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error)


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the progress bars and warnings of transformers, and restore its settings afterwards."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
