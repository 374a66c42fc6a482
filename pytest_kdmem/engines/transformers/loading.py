"""Checkpoint → transformers model: all of its weights, none of the noise."""

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
    """The model in evaluation mode.

    Args:
        attention: implementation, as transformers names it; its own choice if None.

    Raises:
        EngineError: it does not load, or the checkpoint lacks some of its weights.
    """
    try:
        with quiet(), _whole_in_every_process():
            found: Any = AutoModelForCausalLM.from_pretrained(
                str(checkpoint.folder),
                dtype=getattr(torch, dtype),
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=model.trust_remote_code,
                output_loading_info=True,
                attn_implementation=attention,
            )
        loaded, report = found
        placed: PreTrainedModel = loaded.to(device).eval()
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise EngineError(
            f"A causal language model was expected in {checkpoint.folder}; it does not load: {reason}"
        ) from error
    absent = sorted(report["missing_keys"]) + sorted(str(key) for key in report["mismatched_keys"])
    if absent:
        # transformers fills these with random numbers, and a random model recites nothing.
        raise EngineError(
            f"All weights of {checkpoint.architecture} were expected in {checkpoint.folder}; {len(absent)} are missing"
            f" or of another shape (first: {absent[0]}): save the whole model again."
        )
    return placed


@contextmanager
def _whole_in_every_process() -> Iterator[None]:
    """Launchers of FSDP let all processes but one load zeros, for sharding to overwrite; a teacher is never sharded."""
    name = "FSDP_CPU_RAM_EFFICIENT_LOADING"
    before = os.environ.pop(name, None)
    try:
        yield
    finally:
        if before is not None:
            os.environ[name] = before


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether memory ran out; the CPU's allocator says so in words only."""
    return isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error)


@contextmanager
def quiet() -> Iterator[None]:
    """Silence transformers' bars and warnings, and put its settings back."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
