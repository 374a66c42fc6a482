"""Runs a model over batches: several at once on a CPU, and smaller ones when they do not fit into memory."""

from __future__ import annotations

import math
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import TypeVar

import numpy as np
import torch
from transformers import PretrainedConfig

from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.engines.protocol import ignore_progress
from pytest_kdmem.engines.transformers.loading import is_out_of_memory
from pytest_kdmem.engines.transformers.windows import Rows
from pytest_kdmem.errors import EngineError

LARGEST_BATCH = {"cpu": 32, "cuda": 256}
# On a CPU, models of fewer parameters run several batches at once, each of so many examples. Their operations are too
# short to be shared out over threads, and what they compute of so few examples stays in the processor's cache.
SMALL_PARAMETERS = 50_000_000
SMALL_BATCH = 8
MOST_AT_ONCE = 4
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
        at_once: Most batches that run at once, each in a thread of its own; with 1 they run in the caller's.

    Attributes:
        size: Examples in a batch; it is halved whenever memory runs out with one batch at a time.
        at_once: Most batches that run at once; one once memory has run out.
    """

    def __init__(self, name: str, device: str, size: int, at_once: int = 1) -> None:
        self.size = size
        self.at_once = at_once
        self._name = name
        self._device = device

    def run(
        self,
        count: int,
        run: Callable[[slice], Result],
        done: Callable[[int], None] = ignore_progress,
        *,
        in_threads: bool = True,
    ) -> list[Result]:
        """Run a function over batches of so many items, and return what it returns of each, in order.

        Whenever memory runs out, batches run one by one from then on, or in half the size, with a warning.

        Args:
            count: Number of items.
            run: Computes a batch. It may be called again for the same items.
            done: Receives the number of items of each batch that is computed, in the caller's thread.
            in_threads: Whether several batches may run at once.

        Raises:
            EngineError: Memory runs out with a single item.
        """
        results: list[Result] = []
        finished = 0
        at_once = min(self.at_once, torch.get_num_threads()) if in_threads else 1
        while finished < count:
            try:
                with closing(self._computed(slice(finished, count), run, at_once)) as computed:
                    for batch, result in computed:
                        results.append(result)
                        finished = batch.stop
                        done(batch.stop - batch.start)
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                if at_once > 1:
                    at_once = self.at_once = 1
                elif self.size == 1:
                    raise out_of_memory(self._name, self._device) from None
                else:
                    self._halve()
        return results

    def _computed(
        self, items: slice, run: Callable[[slice], Result], at_once: int
    ) -> Generator[tuple[slice, Result], None, None]:
        """Batches of items, in order, each with its result."""
        batches = (
            slice(start, min(start + self.size, items.stop)) for start in range(items.start, items.stop, self.size)
        )
        if at_once == 1:
            yield from ((batch, run(batch)) for batch in batches)
            return
        with _threads_shared_out(at_once), ThreadPoolExecutor(at_once, "kdmem-batch") as pool:
            running: deque[tuple[slice, Future[Result]]] = deque()
            try:
                for batch in batches:
                    running.append((batch, pool.submit(run, batch)))
                    if len(running) > at_once:  # one waits, so that no thread does
                        first, future = running.popleft()
                        yield first, future.result()
                while running:
                    first, future = running.popleft()
                    yield first, future.result()
            finally:
                for _, future in running:
                    future.cancel()

    def _halve(self) -> None:
        at_once, self.size = self.size, self.size // 2
        warnings.warn(
            f"model {self._name} runs out of memory on {self._device} with {at_once} examples per forward pass and"
            f" continues with {self.size}; --kdmem-batch-size {self.size} starts with that number",
            stacklevel=2,
        )
        if self._device == "cuda":
            torch.cuda.empty_cache()


@contextmanager
def _threads_shared_out(at_once: int) -> Iterator[None]:
    """Let each of several threads use its share of torch's threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(before // at_once)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def runs_several_at_once(parameters: int, device: str) -> bool:
    """Whether a model of so many parameters gains by running several small batches at once."""
    return device == "cpu" and parameters < SMALL_PARAMETERS


def fitting_size(config: PretrainedConfig, width: int, device: str, dtype: torch.dtype, *, is_small: bool) -> int:
    """Examples in a batch, a power of two, that memory should hold.

    It depends on the model and the device only, since batch shapes show in the last bits of the scores.

    Args:
        config: Of the text model.
        width: Of its head.
        device: "cpu" or "cuda".
        dtype: Of the computation.
        is_small: Whether the model `runs_several_at_once`.
    """
    hidden = getattr(config, "hidden_size", None) or width
    inner = getattr(config, "intermediate_size", None) or 4 * hidden
    widest = max(hidden, *(inner if isinstance(inner, list) else [inner]))  # Gemma 3n gives one for each layer
    per_example = 256 * widest * ACTIVATIONS_PER_UNIT * dtype.itemsize
    free = torch.cuda.mem_get_info()[0] if device == "cuda" else 4 << 30
    fitting = max(1, (free // 2 - LOGITS_BYTES_AT_ONCE[device]) // per_example)
    return min(SMALL_BATCH if is_small else LARGEST_BATCH[device], 1 << int(math.log2(fitting)))


def out_of_memory(name: str, device: str) -> EngineError:
    """The error of a model that does not fit."""
    return EngineError(
        f"Model {name} was expected to fit on {device} and runs out of memory with one example;"
        " use a smaller --kdmem-dtype or a larger device."
    )


def rows_by_length(examples: Sequence[Example]) -> Rows:
    """Indices of examples by their length, so that batches in this order hold the least padding."""
    return np.argsort([len(example.ids) for example in examples], kind="stable")
