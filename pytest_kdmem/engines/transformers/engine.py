"""The transformers engine: one forward pass gives every score of an example."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from copy import copy
from threading import get_ident
from weakref import ref

import numpy as np
import torch

from pytest_kdmem.base.arrays import TokenIds
from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.engines.numerics import Numerics
from pytest_kdmem.engines.protocol import Floats, Metrics, Scores, check_ids
from pytest_kdmem.engines.transformers.batches import (
    LOGITS_BYTES_AT_ONCE,
    MOST_AT_ONCE,
    Batches,
    fitting_size,
    out_of_memory,
    rows_by_length,
    runs_several_at_once,
)
from pytest_kdmem.engines.transformers.compilation import Compilation, compile_layers
from pytest_kdmem.engines.transformers.decoding import decode_prefixes
from pytest_kdmem.engines.transformers.failures import running_failure
from pytest_kdmem.engines.transformers.head import HeadOfThread, StandardHead
from pytest_kdmem.engines.transformers.loading import is_out_of_memory, load_to_run
from pytest_kdmem.engines.transformers.passes import ForwardPasses
from pytest_kdmem.engines.transformers.tolerance import measured_tolerance
from pytest_kdmem.engines.transformers.verdicts import score_verdicts
from pytest_kdmem.engines.transformers.windows import WindowScores, summarize_windows
from pytest_kdmem.errors import KdmemError
from pytest_kdmem.specs.checkpoint import Checkpoint
from pytest_kdmem.specs.declared import Extraction, Model

# With fewer positions at once, the head of a large vocabulary is read more slowly than it is multiplied by.
FEWEST_POSITIONS_AT_ONCE = 64
# Share of a GPU's memory that deciding takes beside the weights: the cast weights of a layer, and activations.
DECIDING_SHARE = 0.1


class TransformersEngine:
    """A causal language model of transformers on one device.

    Args:
        model: The model as it was declared.
        checkpoint: Its files.
        numerics: Device and dtype to run it in.
        batch_size: Examples in a batch; chosen to fit into memory if None.
        compilation: Compiles the decoder layers for the passes that score in the dtype of the screening, or in the only
            dtype; None runs them as they were written.

    Attributes:
        tolerance: Half the width of the ambiguous band, in logits.
        sure_miss: Verdicts of an example are scored no further than a margin below the negative of this, in logits.

    Raises:
        EngineError: There is no such device, or the model does not load, run or fit on it.
    """

    def __init__(
        self,
        model: Model,
        checkpoint: Checkpoint,
        numerics: Numerics,
        *,
        batch_size: int | None = None,
        compilation: Compilation | None = None,
    ) -> None:
        self.name = model.source
        self._device = numerics.device
        self._positions = checkpoint.positions or 64
        self._given_batch_size = batch_size
        self._runs_own_code = model.trust_remote_code
        self._casting = load_to_run(model, checkpoint, numerics)
        self._model = self._casting.model
        self._compilation = compilation
        if compilation is not None:
            compilation.is_on = False  # most passes are too few, or in too many shapes
            # One code for all shapes: compiling it anew for each takes longer than it saves.
            compile_layers(self._model, compilation, dynamic=True)
        self._compiles = compilation is not None and numerics.screen is None
        self._prepare(numerics.dtype)

    def over_same_weights(self, dtype: str) -> TransformersEngine:
        """An engine that runs the same weights in another dtype.

        Raises:
            EngineError: The model does not run in it, or not fit.
        """
        other = copy(self)
        other._compiles = self._compilation is not None
        other._prepare(dtype)
        return other

    def _prepare(self, dtype: str) -> None:
        """Measure what depends on the dtype of the computation."""
        self._dtype = getattr(torch, dtype)
        try:
            with self.computing():
                self._head = StandardHead(self._model)
                self.vocabulary = int(self._head.linear.weight.shape[0])
                self.batches = self._fitting_batches()
                fitting = LOGITS_BYTES_AT_ONCE[self._device] // (4 * self.vocabulary)
                chunk = max(FEWEST_POSITIONS_AT_ONCE, fitting)
                heads = HeadOfThread(self._head, get_ident())
                self.passes = ForwardPasses(self.name, heads, device=self._device, dtype=self._dtype, chunk=chunk)
                measured = measured_tolerance(self._model, self._head, self.passes, self._positions, self.compiled)
                self.tolerance = self.sure_miss = measured
        except KdmemError:
            raise
        except Exception as error:
            if isinstance(error, RuntimeError) and is_out_of_memory(error):
                raise out_of_memory(self.name, self._device) from error
            raise running_failure(self.name, type(self._model).__name__, error) from error

    def memory_left(self) -> float | None:
        """Share of a GPU's memory that another engine may take beside this one; None on a CPU."""
        if self._device == "cpu":
            return None
        free, total = torch.cuda.mem_get_info()
        return max(0.0, free / total - DECIDING_SHARE)

    def score(
        self,
        examples: Sequence[Example],
        extraction: Extraction,
        metrics: Metrics,
        advance: Callable[[int], None],
    ) -> Scores:
        check_ids(examples, self.vocabulary, self.name)
        with self.computing(), self.compiled():
            if metrics == "all":
                return self._score_windows(examples, extraction, advance)
            return score_verdicts(
                self.passes,
                self.batches,
                examples,
                extraction,
                tolerance=self.tolerance,
                sure_miss=self.sure_miss,
                advance=advance,
            )

    def computing(self) -> AbstractContextManager[None]:
        """Let the model compute in the engine's dtype."""
        return self._casting.computing_in(self._dtype)

    @contextmanager
    def compiled(self) -> Iterator[None]:
        """Run compiled layers, if this engine has any."""
        if self._compilation is None or not self._compiles:
            yield
            return
        self._compilation.is_on = True
        try:
            yield
        finally:
            self._compilation.is_on = False

    def losses(self, examples: Sequence[Example]) -> list[Floats]:
        check_ids(examples, self.vocabulary, self.name)
        losses: list[Floats] = [np.empty(0, dtype=np.float32)] * len(examples)
        order = rows_by_length(examples)
        ids = self.passes.padded([examples[row] for row in order])

        def score_batch(batch: slice) -> None:
            logprob = self.passes.values(ids.batch(batch), 1).logprob.cpu().numpy()
            self.passes.check_finite(np.isnan(logprob).any(axis=1), [examples[row] for row in order[batch]])
            for row, values in zip(order[batch], logprob, strict=True):
                losses[row] = -values[: len(examples[row].ids) - 1]

        with self.computing():
            self.batches.run(len(examples), score_batch)
        return losses

    def decode(self, prefixes: Sequence[TokenIds], new_tokens: int) -> list[TokenIds]:
        with self.computing():
            return decode_prefixes(self._model, prefixes, new_tokens, self.batches, self._device)

    def close(self) -> None:
        tensors = [ref(tensor) for tensor in (*self._model.parameters(), *self._model.buffers())]
        del self._model, self._head, self.passes, self._casting
        if any(tensor() is not None for tensor in tensors):  # searching all objects takes long, and few models need it
            gc.collect()
        if self._device == "cuda":
            torch.cuda.empty_cache()

    def _score_windows(
        self, examples: Sequence[Example], extraction: Extraction, advance: Callable[[int], None]
    ) -> Scores:
        """Compute all metrics: the head runs over every predicted token of the window."""
        window_scores = WindowScores([len(example.ids) for example in examples])
        order = rows_by_length(examples)
        ids = self.passes.padded([examples[row] for row in order], extraction)

        def score_batch(batch: slice) -> None:
            positions = self.passes.values(ids.batch(batch), 1)
            summaries = summarize_windows(positions, ids.places(batch), extraction).cpu().numpy()
            rows = order[batch]
            self.passes.check_finite(window_scores.fill(rows, summaries), [examples[row] for row in rows])

        self.batches.run(len(examples), score_batch, advance)
        return window_scores.scores(self.tolerance)

    def _fitting_batches(self) -> Batches:
        is_small = runs_several_at_once(sum(weight.numel() for weight in self._model.parameters()), self._device)
        config, width = self._model.config.get_text_config(), int(self._head.linear.weight.shape[-1])
        fitting = fitting_size(config, width, self._device, self._dtype, is_small=is_small)
        at_once = 1
        if is_small and not self._runs_own_code:  # which may not run in several threads
            with suppress(Exception):  # whatever a class holds that cannot be copied
                self._head.twin()
                at_once = MOST_AT_ONCE
        return Batches(self.name, self._device, self._given_batch_size or fitting, at_once)
