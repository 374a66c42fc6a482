"""Loads a checkpoint as a transformers model and refuses one whose weights are not those of its files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from pytest_kdmem.engines.numerics import Numerics
from pytest_kdmem.engines.transformers.adapter import merge_adapter
from pytest_kdmem.engines.transformers.failures import loading_failure
from pytest_kdmem.engines.transformers.loaded import check_loaded, own_weights
from pytest_kdmem.engines.transformers.precision import CastingModel, hold_compactly
from pytest_kdmem.engines.transformers.quantized import finish_loading, loading_arguments
from pytest_kdmem.engines.transformers.quiet import quiet, quiet_libraries
from pytest_kdmem.errors import EngineError, KdmemError
from pytest_kdmem.specs.checkpoint import Checkpoint
from pytest_kdmem.specs.declared import Model


def load_to_run(model: Model, checkpoint: Checkpoint, numerics: Numerics) -> CastingModel:
    """Load a model so that it runs in the dtypes of ``numerics``.

    Weights that are screened in half precision are held in the dtype of their files. They are loaded in float32, so
    that what is computed from the configuration alone has all its digits as well.

    Raises:
        EngineError: There is no such device, the model does not load, or its weights are not those of the checkpoint.
    """
    if numerics.device == "cuda" and not torch.cuda.is_available():
        raise EngineError("A CUDA device was expected, and torch finds none; audit with --kdmem-device cpu.")
    held = None if numerics.screen is None else checkpoint.dtype
    return CastingModel(load_model(model, checkpoint, dtype=numerics.dtype, device=numerics.device, held=held))


def load_model(
    model: Model,
    checkpoint: Checkpoint,
    *,
    dtype: str,
    device: str = "cpu",
    attention: str | None = None,
    held: str | None = None,
) -> PreTrainedModel:
    """Load a model in evaluation mode.

    Args:
        model: The model as it was declared.
        checkpoint: Its files.
        dtype: Dtype of its weights, as torch names it.
        device: Device to place it on.
        attention: Attention implementation as transformers names it; chosen by transformers if None.
        held: Dtype in which weights are held that lose nothing by it; ``dtype`` if None.

    Raises:
        EngineError: The model does not load, or its weights are not those of the checkpoint.
    """
    is_dequantized = checkpoint.quantization is not None and checkpoint.quantization.is_dequantized
    is_foreign = checkpoint.quantization is not None and not is_dequantized  # it lies on its device already
    computing = torch.float32 if is_dequantized else getattr(torch, dtype)
    hushed = nullcontext() if checkpoint.quantization is None else quiet_libraries()
    try:
        with quiet(), hushed, _all_weights_in_every_process():
            result: Any = AutoModelForCausalLM.from_pretrained(
                str(checkpoint.weights_folder),
                dtype=computing,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=model.trust_remote_code,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # they are refused below, by name
                attn_implementation=attention,
                **loading_arguments(model, checkpoint, device),
            )
            loaded, loading_info = result
            if checkpoint.quantization is None:
                own_weights(loaded)
            else:
                loaded = finish_loading(loaded, checkpoint, computing)
            check_loaded(loaded, loading_info, checkpoint.base or checkpoint)
            if (adapter := checkpoint.adapter()) is not None:
                loaded = merge_adapter(loaded.eval(), adapter, checkpoint)
            if is_dequantized:
                loaded = loaded.to(getattr(torch, dtype))
            if held is not None:
                hold_compactly(loaded, getattr(torch, held))
            placed: PreTrainedModel = (loaded if is_foreign else loaded.to(device)).eval()
    except KdmemError:
        raise
    except Exception as error:
        raise loading_failure(checkpoint.folder, error) from error
    return placed


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
