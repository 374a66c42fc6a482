"""Runs a model over batches that fit into memory, in smaller ones when they do not."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import torch
from transformers import PretrainedConfig

from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.engines.transformers.loading import is_out_of_memory
from pytest_kdmem.engines.transformers.windows import Rows
from pytest_kdmem.errors import EngineError

LARGEST_BATCH = {"cpu": 32, "cuda": 256}
LOGITS_BYTES_AT_ONCE = {"cpu": 16 << 20, "cuda": 1 << 30}
# Numbers held per token and unit of width at the widest point of a forward pass, with room to spare.
ACTIVATIONS_PER_UNIT = 32

Result = TypeVar("Result")


class Batches:
    """Batches of a model on a device.

    Args:
        name: The model, for messages.
        device: "cpu" or "cuda".
        size: Examples in a batch.

    Attributes:
        size: Examples in a batch; it is halved whenever memory runs out.
    """

    def __init__(self, name: str, device: str, size: int) -> None:
        self.size = size
        self._name = name
        self._device = device

    def run(self, count: int, run: Callable[[slice], Result]) -> list[Result]:
        """Run a function over batches of so many items, and return what it returns of each.

        Whenever memory runs out, the batch size is halved for this and all later batches, with a warning.

        Raises:
            EngineError: Memory runs out with a single item.
        """
        results: list[Result] = []
        done = 0
        while done < count:
            batch = slice(done, min(done + self.size, count))
            try:
                results.append(run(batch))
                done = batch.stop
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                if self.size == 1:
                    raise out_of_memory(self._name, self._device) from None
                self._halve()
        return results

    def _halve(self) -> None:
        at_once, self.size = self.size, self.size // 2
        warnings.warn(
            f"model {self._name} runs out of memory on {self._device} with {at_once} examples a forward pass and goes"
            f" on with {self.size}; --kdmem-batch-size {self.size} starts with that",
            stacklevel=2,
        )
        if self._device == "cuda":
            torch.cuda.empty_cache()


def fitting_size(config: PretrainedConfig, width: int, device: str, dtype: torch.dtype) -> int:
    """Examples in a batch, a power of two, that memory should hold.

    It depends on the model and the device only, since batch shapes show in the last bits of the scores.

    Args:
        config: Of the text model.
        width: Of its head.
        device: "cpu" or "cuda".
        dtype: Of the computation.
    """
    hidden = getattr(config, "hidden_size", None) or width
    inner = getattr(config, "intermediate_size", None) or 4 * hidden
    widest = max(hidden, *(inner if isinstance(inner, list) else [inner]))  # Gemma 3n gives one for each layer
    per_example = 256 * widest * ACTIVATIONS_PER_UNIT * dtype.itemsize
    free = torch.cuda.mem_get_info()[0] if device == "cuda" else 4 << 30
    fitting = max(1, (free // 2 - LOGITS_BYTES_AT_ONCE[device]) // per_example)
    return min(LARGEST_BATCH[device], 1 << int(math.log2(fitting)))


def out_of_memory(name: str, device: str) -> EngineError:
    """The error of a model that does not fit."""
    return EngineError(
        f"Model {name} was expected to fit on {device} and runs out of memory with one example;"
        " use a smaller --kdmem-dtype or a larger device."
    )


def rows_by_length(examples: Sequence[Example]) -> Rows:
    """Indices of examples by their length, so that batches in this order hold the least padding."""
    return np.argsort([len(example.ids) for example in examples], kind="stable")
