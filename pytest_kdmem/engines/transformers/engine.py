"""The transformers engine: one forward pass gives every figure of an example."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from pytest_kdmem.base.arrays import TokenIds
from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.engines.numerics import Numerics
from pytest_kdmem.engines.protocol import Metrics, Scores, check_ids
from pytest_kdmem.engines.transformers.decoding import decode_greedily, margins_step_by_step
from pytest_kdmem.engines.transformers.head import StandardHead
from pytest_kdmem.engines.transformers.loading import is_out_of_memory, load_model
from pytest_kdmem.engines.transformers.reduction import Positions, reduce_positions
from pytest_kdmem.engines.transformers.windows import Windows, first_miss
from pytest_kdmem.errors import EngineError
from pytest_kdmem.specs.checkpoint import Checkpoint
from pytest_kdmem.specs.declared import Extraction, Model

# Of the suffix, in the pass that drops early misses: most examples miss within these.
FIRST_TOKENS = 4
LARGEST_BATCH = {"cpu": 32, "cuda": 256}
LOGITS_BYTES_AT_ONCE = {"cpu": 16 << 20, "cuda": 1 << 30}
# Floats held per token and unit of width at the widest point of a forward pass, with room to spare.
ACTIVATIONS_PER_UNIT = 32

Result = TypeVar("Result")


class TransformersEngine:
    """A causal language model of transformers on one device."""

    def __init__(self, model: Model, checkpoint: Checkpoint, numerics: Numerics, *, batch_size: int | None = None):
        self.name = model.source
        self._device = numerics.device
        if self._device == "cuda" and not torch.cuda.is_available():
            raise EngineError("A CUDA device was expected, and torch finds none; audit with --kdmem-device cpu.")
        self._model = load_model(model, checkpoint, dtype=numerics.dtype, device=numerics.device)
        self._head = StandardHead(self._model)
        self.vocabulary = int(self._model.get_output_embeddings().weight.shape[0])
        self._positions = checkpoint.positions or 64
        self.batch_size = batch_size or self._fitting_batch()
        self.chunk = max(1, LOGITS_BYTES_AT_ONCE[self._device] // (4 * self.vocabulary))
        try:
            self.tolerance = self._measured_tolerance()
        except RuntimeError as error:
            raise self._no_memory() if is_out_of_memory(error) else error from error

    def score(
        self,
        examples: Sequence[Example],
        extraction: Extraction,
        metrics: Metrics,
        advance: Callable[[int], None],
    ) -> Scores:
        check_ids(examples, self.vocabulary, self.name)
        score = self._score_windows if metrics == "all" else self._score_verdicts
        return score(examples, extraction, advance)

    def decode(self, prefixes: Sequence[TokenIds], new_tokens: int) -> list[TokenIds]:
        def run(batch: Sequence[TokenIds]) -> list[TokenIds]:
            stacked = self._stacked(batch, len(batch[0]))
            return list(decode_greedily(self._model, stacked, new_tokens).cpu().numpy().astype(np.int32))

        return self.in_batches(prefixes, run)

    def close(self) -> None:
        del self._model, self._head
        gc.collect()
        if self._device == "cuda":
            torch.cuda.empty_cache()

    def _score_windows(
        self, examples: Sequence[Example], extraction: Extraction, advance: Callable[[int], None]
    ) -> Scores:
        """All metrics: the head over every predicted token of the window."""
        windows = Windows(examples, extraction)

        def run(rows: Sequence[int]) -> list[None]:
            batch = [examples[row] for row in rows]
            windows.take(rows, self._forward(batch, 1, max(len(example.ids) for example in batch)))
            advance(len(rows))
            return [None] * len(rows)

        self.in_batches(by_length(examples), run)
        return windows.scores(self.tolerance)

    def _score_verdicts(
        self, examples: Sequence[Example], extraction: Extraction, advance: Callable[[int], None]
    ) -> Scores:
        """Verdicts: a short pass drops the sure misses, the rest are scored to the suffix's end."""
        margin = np.full(len(examples), np.nan, dtype=np.float32)
        misses = np.full(len(examples), -1, dtype=np.int16)
        rows = list(range(len(examples)))
        done = advance
        first, whole = extraction.prefix_tokens, extraction.suffix_tokens
        for suffix_tokens in sorted({min(FIRST_TOKENS, whole), whole}):

            def run(
                batch: Sequence[int], end: int = first + suffix_tokens, done: Callable[[int], None] = done
            ) -> list[Tensor]:
                found = self._forward([examples[row] for row in batch], first, end)
                done(len(batch))
                return list(found.margin)

            for row, found in zip(rows, self.in_batches(rows, run), strict=True):
                misses[row] = first_miss(found)
                margin[row] = found.min()
            if suffix_tokens < whole:
                done = _nothing  # the few that go on were counted
                sure_misses = [row for row in rows if margin[row] < -self.tolerance]
                # Of these only an upper bound of the margin is known, which is not the margin.
                margin[sure_misses] = np.nan
                rows = sorted(set(rows) - set(sure_misses))
        unknown = np.full(len(examples), np.nan, dtype=np.float32)
        return Scores(margin, misses, unknown, unknown, unknown, self.tolerance)

    @torch.inference_mode()
    def _forward(self, batch: Sequence[Example], first: int, end: int) -> Positions:
        """Figures ``[batch, end − first]`` of the tokens from ``first`` to ``end``; NaN-free for real tokens only."""
        hidden, targets = self.hidden(batch, first, end)
        return self.shaped(batch, reduce_positions(hidden, targets, self.logits, chunk=self.chunk))

    def hidden(self, batch: Sequence[Example], first: int, end: int) -> tuple[Tensor, Tensor]:
        """Last hidden states ``[m, width]`` before each token from ``first`` to ``end``, and these tokens ``[m]``."""
        ids = self._stacked([example.ids for example in batch], end)
        hidden = self._head.backbone(ids[:, :-1])[:, first - 1 :]
        return hidden.reshape(-1, hidden.shape[-1]), ids[:, first:].reshape(-1)

    def logits(self, hidden: Tensor) -> Tensor:
        """Hidden states ``[m, width]`` → logits ``[m, vocabulary]``."""
        return self._head.logits(hidden)

    def shaped(self, batch: Sequence[Example], flat: Positions) -> Positions:
        """Figures ``[m]`` of a batch as ``[batch, tokens]``.

        Raises:
            EngineError: one of them is NaN.
        """
        shaped = Positions(*(part.reshape(len(batch), -1) for part in flat))
        broken = shaped.logprob.isnan().any(dim=1).nonzero()
        if len(broken):
            position = batch[int(broken[0])].position
            raise EngineError(
                f"Finite logits were expected of model {self.name}, and it gives NaN or infinity"
                f" {f'at example {position}' if position >= 0 else 'whatever the text'}; its weights are broken, or"
                f" {self._model.dtype} overflows: try --kdmem-dtype float32."
            )
        return shaped

    def _stacked(self, rows: Sequence[TokenIds], length: int) -> Tensor:
        """``[rows, length]`` int64, padded on the right, where causal attention does not look."""
        stacked = np.zeros((len(rows), length), dtype=np.int64)
        for at, ids in enumerate(rows):
            stacked[at, : len(ids)] = ids[:length]
        return torch.from_numpy(stacked).to(self._device)

    def in_batches(self, items: Sequence[Any], run: Callable[[Sequence[Any]], list[Result]]) -> list[Result]:
        """Results in order; the batch is halved whenever memory runs out, and stays so."""
        results: list[Result] = []
        while len(results) < len(items):
            try:
                results += run(items[len(results) : len(results) + self.batch_size])
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                if self.batch_size == 1:
                    raise self._no_memory() from None
                self.batch_size //= 2
                if self._device == "cuda":
                    torch.cuda.empty_cache()
        return results

    def _no_memory(self) -> EngineError:
        return EngineError(
            f"Model {self.name} was expected to fit on {self._device} and runs out of memory with one example;"
            " use a smaller --kdmem-dtype or a larger device."
        )

    def _fitting_batch(self) -> int:
        """A power of two that memory should hold: the same each time, as batch shapes show in the last bits."""
        config = self._model.config.get_text_config()
        width = max(config.hidden_size, getattr(config, "intermediate_size", None) or 4 * config.hidden_size)
        per_example = 256 * width * ACTIVATIONS_PER_UNIT * self._model.dtype.itemsize
        free = torch.cuda.mem_get_info()[0] if self._device == "cuda" else 4 << 30
        fitting = max(1, (free // 2 - LOGITS_BYTES_AT_ONCE[self._device]) // per_example)
        return min(LARGEST_BATCH[self._device], 1 << int(math.log2(fitting)))

    @torch.inference_mode()
    def _measured_tolerance(self) -> float:
        """What batch size and cached decoding change of a margin, times four, up to the next power of two.

        Measured on random ids, which is cheap and the same each time; `confirm` tests it on the audit's own rows. It is
        at least the step between neighbouring numbers of the dtype where the highest logits lie: on random ids two
        kernels may happen to round alike, and the logits compared are never known better than that.
        """
        length = min(64, self._positions)
        ids = torch.randint(
            0, self.vocabulary, (4, length), generator=torch.Generator().manual_seed(0), dtype=torch.int64
        )
        examples = [Example(-1, row.numpy().astype(np.int32)) for row in ids]
        together = self._forward(examples, 1, length).margin
        alone = torch.cat([self._forward([example], 1, length).margin for example in examples])
        known = length * 3 // 4
        stepped = margins_step_by_step(self._model, ids.to(self._device), known)
        change = max((together - alone).abs().max(), (together[:, known:] - stepped).abs().max())
        highest = self._head.logits(self._head.backbone(ids.to(self._device))).float().amax(dim=-1).abs().max()
        least = torch.finfo(self._model.dtype).eps * max(1.0, float(highest))
        return float(2.0 ** math.ceil(math.log2(max(4 * float(change), least))))


def _nothing(examples: int) -> None:
    pass


def by_length(examples: Sequence[Example]) -> list[int]:
    """Rows in the order in which batches of them hold the least padding."""
    return sorted(range(len(examples)), key=lambda row: len(examples[row].ids))
