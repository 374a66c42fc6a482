"""The transformers engine: one forward pass gives every score of an example."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from copy import copy
from itertools import chain
from threading import get_ident

import numpy as np
import torch
from torch import Tensor

from pytest_kdmem.base.arrays import Flags, TokenIds
from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.engines.numerics import Numerics
from pytest_kdmem.engines.protocol import Floats, Metrics, Scores, check_ids, ignore_progress
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
from pytest_kdmem.engines.transformers.decoding import decode_greedily, margins_step_by_step
from pytest_kdmem.engines.transformers.failures import running_failure
from pytest_kdmem.engines.transformers.head import HeadOfThread, StandardHead
from pytest_kdmem.engines.transformers.loading import is_out_of_memory, load_to_run
from pytest_kdmem.engines.transformers.padded_ids import PaddedIds
from pytest_kdmem.engines.transformers.reduction import Positions, reduce_margins, reduce_positions
from pytest_kdmem.engines.transformers.tolerance import tolerance_of
from pytest_kdmem.engines.transformers.windows import (
    Rows,
    WindowScores,
    suffix_places,
    summarize_margins,
    summarize_windows,
)
from pytest_kdmem.errors import KdmemError, OverflowedError
from pytest_kdmem.specs.checkpoint import Checkpoint
from pytest_kdmem.specs.declared import Extraction, Model

# Suffix tokens of the first pass over verdicts: most examples miss within these, and are scored no further.
FIRST_TOKENS = 4
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
                self._heads = HeadOfThread(self._head, get_ident())
                self.vocabulary = int(self._head.linear.weight.shape[0])
                self.batches = self._fitting_batches()
                fitting = LOGITS_BYTES_AT_ONCE[self._device] // (4 * self.vocabulary)
                self.chunk = max(FEWEST_POSITIONS_AT_ONCE, fitting)
                self.tolerance = self.sure_miss = self._measured_tolerance()
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
        score = self._score_windows if metrics == "all" else self._score_verdicts
        with self.computing(), self.compiled():
            return score(examples, extraction, advance)

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
        ids = self.padded([examples[row] for row in order])

        def score_batch(batch: slice) -> None:
            logprob = self._forward(ids.batch(batch), 1).logprob.cpu().numpy()
            self.check_finite(np.isnan(logprob).any(axis=1), [examples[row] for row in order[batch]])
            for row, values in zip(order[batch], logprob, strict=True):
                losses[row] = -values[: len(examples[row].ids) - 1]

        with self.computing():
            self.batches.run(len(examples), score_batch)
        return losses

    def decode(self, prefixes: Sequence[TokenIds], new_tokens: int) -> list[TokenIds]:
        # Prefixes of one length are decoded together: a decoded token stands right behind its prefix.
        by_length: dict[int, list[int]] = {}
        for row, prefix in enumerate(prefixes):
            by_length.setdefault(len(prefix), []).append(row)
        continuations: list[TokenIds] = [np.empty(0, dtype=np.int32)] * len(prefixes)
        with self.computing():
            for rows in by_length.values():
                decoded = self._decode_equal([prefixes[row] for row in rows], new_tokens)
                for row, continuation in zip(rows, decoded, strict=True):
                    continuations[row] = continuation
        return continuations

    def _decode_equal(self, prefixes: Sequence[TokenIds], new_tokens: int) -> list[TokenIds]:
        """Continue prefixes of one length."""
        ids = PaddedIds(prefixes, self._device)

        def decode_batch(batch: slice) -> list[TokenIds]:
            return list(decode_greedily(self._model, ids.batch(batch), new_tokens).cpu().numpy().astype(np.int32))

        return list(chain.from_iterable(self.batches.run(len(prefixes), decode_batch, in_threads=False)))

    def close(self) -> None:
        del self._model, self._head, self._heads, self._casting
        gc.collect()
        if self._device == "cuda":
            torch.cuda.empty_cache()

    def _score_windows(
        self, examples: Sequence[Example], extraction: Extraction, advance: Callable[[int], None]
    ) -> Scores:
        """Compute all metrics: the head runs over every predicted token of the window."""
        window_scores = WindowScores(len(examples))
        order = rows_by_length(examples)
        ids = self.padded([examples[row] for row in order], extraction)

        def score_batch(batch: slice) -> None:
            positions = self._forward(ids.batch(batch), 1)
            summaries = summarize_windows(positions, ids.places(batch), extraction).cpu().numpy()
            rows = order[batch]
            self.check_finite(window_scores.fill(rows, summaries), [examples[row] for row in rows])

        self.batches.run(len(examples), score_batch, advance)
        return window_scores.scores(self.tolerance)

    def _score_verdicts(
        self, examples: Sequence[Example], extraction: Extraction, advance: Callable[[int], None]
    ) -> Scores:
        """Compute verdicts: a short pass finds the sure misses, and only the others are scored to the suffix's end."""
        margin = np.full(len(examples), np.nan, dtype=np.float32)
        misses = np.full(len(examples), -1, dtype=np.int16)

        def score_suffix(rows: Rows, suffix_tokens: int, advance: Callable[[int], None]) -> None:
            of_rows = [examples[row] for row in rows]
            starts = starts_of(of_rows, extraction)
            ends = [example.start(extraction) + suffix_tokens for example in of_rows]
            cut = [example.ids[:end] for example, end in zip(of_rows, ends, strict=True)]
            ids = PaddedIds(cut, self._device, starts=starts)

            def score_batch(batch: slice) -> None:
                of_batch = rows[batch]
                batch_starts = ids.places(batch).starts
                if batch_starts is None:
                    margins = self._margins(ids.batch(batch), extraction.prefix_tokens)
                else:
                    margins = self._suffix_margins(ids.batch(batch), batch_starts, suffix_tokens)
                summaries = summarize_margins(margins).cpu().numpy()
                self.check_finite(summaries[:, 2] != 0, [examples[row] for row in of_batch])
                margin[of_batch], misses[of_batch] = summaries[:, 0], summaries[:, 1]

            self.batches.run(len(rows), score_batch, advance)

        # Examples that differ in length are ordered by it, so that batches hold the least padding.
        rows = np.arange(len(examples)) if starts_of(examples, extraction) is None else rows_by_length(examples)
        if extraction.suffix_tokens > FIRST_TOKENS and self.sure_miss < math.inf:
            score_suffix(rows, FIRST_TOKENS, advance)
            sure_misses = margin < -self.sure_miss
            margin[sure_misses] = np.nan  # the least margin over the whole suffix stays unknown
            rows = rows[~sure_misses[rows]]
            advance = ignore_progress  # the remaining examples were counted in the first pass
        score_suffix(rows, extraction.suffix_tokens, advance)
        unknown = np.full(len(examples), np.nan, dtype=np.float32)
        return Scores(margin, misses, unknown, unknown, unknown, self.tolerance)

    @torch.inference_mode()
    def _forward(self, ids: Tensor, first: int) -> Positions:
        """Values ``[batch, tokens − first]`` of the tokens from ``first`` on; padding has values too."""
        hidden, targets = self.hidden(ids, first)
        return by_example(len(ids), reduce_positions(hidden, targets, self.logits, chunk=self.chunk))

    @torch.inference_mode()
    def _margins(self, ids: Tensor, first: int) -> Tensor:
        """Margins ``[batch, tokens − first]`` of the tokens from ``first`` on."""
        hidden, targets = self.hidden(ids, first)
        return reduce_margins(hidden, targets, self.logits, chunk=self.chunk).reshape(len(ids), -1)

    @torch.inference_mode()
    def _suffix_margins(self, ids: Tensor, starts: Tensor, tokens: int) -> Tensor:
        """Margins ``[batch, tokens]`` of the first tokens of suffixes that begin at ``starts`` ``[batch]``."""
        places = suffix_places(starts, tokens)
        hidden = self._heads.head.backbone(ids[:, :-1])
        before = hidden.gather(1, (places - 1)[..., None].expand(-1, -1, hidden.shape[-1]))
        flat, targets = before.reshape(-1, hidden.shape[-1]), ids.gather(1, places).reshape(-1)
        return reduce_margins(flat, targets, self.logits, chunk=self.chunk).reshape(len(ids), -1)

    def hidden(self, ids: Tensor, first: int) -> tuple[Tensor, Tensor]:
        """Last hidden states ``[m, width]`` before each token from ``first`` on, and these tokens ``[m]``."""
        hidden = self._heads.head.backbone(ids[:, :-1])[:, first - 1 :]
        return hidden.reshape(-1, hidden.shape[-1]), ids[:, first:].reshape(-1)

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits ``[m, vocabulary]`` of hidden states ``[m, width]``."""
        return self._heads.head.logits(hidden)

    def padded(self, examples: Sequence[Example], extraction: Extraction | None = None) -> PaddedIds:
        """Token ids of examples on the engine's device, with the places of their suffixes if these are asked for."""
        starts = None if extraction is None else starts_of(examples, extraction)
        return PaddedIds([example.ids for example in examples], self._device, starts=starts)

    def check_finite(self, broken: Flags, batch: Sequence[Example]) -> None:
        """Raise OverflowedError for the first example of a batch of which a logit is NaN or infinite."""
        if broken.any():
            position = batch[int(broken.argmax())].position
            raise OverflowedError(
                f"Finite logits were expected of model {self.name}, and it gives NaN or infinity"
                f" {f'at example {position}' if position >= 0 else 'whatever the text'}; its weights are broken, or"
                f" {self._dtype} overflows: try --kdmem-dtype float32."
            )

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

    @torch.inference_mode()
    def _measured_tolerance(self) -> float:
        """Four times the change of a margin by batch, compilation and cached decoding, rounded up to a power of two.

        It is measured on random ids, which is cheap and the same each time; `confirm` tests it on the audit's own
        rows. It is at least the spacing of the dtype's numbers at the highest logits: on random ids two kernels may
        happen to round alike, and the compared logits are never known better than that.
        """
        length = min(64, self._positions)
        ids = torch.randint(
            0, self.vocabulary, (4, length), generator=torch.Generator().manual_seed(0), dtype=torch.int64
        )
        ids = ids.to(self._device)
        with self.compiled():
            batched = self._margins(ids, 1)
        single = torch.cat([self._margins(row[None], 1) for row in ids])
        is_broken = (batched + single).isnan().any(dim=1)
        self.check_finite(is_broken.cpu().numpy(), [Example(-1, np.empty(0, np.int32))] * len(ids))
        prompt_tokens = length * 3 // 4
        stepped = margins_step_by_step(self._model, ids, prompt_tokens)
        change = max((batched - single).abs().max(), (batched[:, prompt_tokens:] - stepped).abs().max())
        highest = self._head.logits(self._head.backbone(ids)).float().amax(dim=-1).abs().max()
        return tolerance_of(float(change), float(highest), self._dtype)


def starts_of(examples: Sequence[Example], extraction: Extraction) -> list[int] | None:
    """Place of the first token of each suffix; None if no example has its own."""
    if all(example.prefix_tokens is None for example in examples):
        return None
    return [example.start(extraction) for example in examples]


def by_example(examples: int, flat: Positions) -> Positions:
    """Reshape the values ``[m]`` of a batch to ``[batch, tokens]``."""
    return Positions(*(values.reshape(examples, -1) for values in flat))
