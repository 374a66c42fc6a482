"""Scores verdicts by a model that is being trained, between two of its steps, and leaves it as it was.

The whole model runs, as whoever trains it wrapped, sharded, adapted or autocast it: no part of it is looked into, and
no second model is in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from inspect import signature
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.engines.protocol import Scores, check_ids, verdict_scores
from pytest_kdmem.engines.transformers.batches import Batches, out_of_memory
from pytest_kdmem.engines.transformers.decoding import margins_step_by_step
from pytest_kdmem.engines.transformers.loading import is_out_of_memory
from pytest_kdmem.engines.transformers.padded_ids import PaddedIds
from pytest_kdmem.engines.transformers.processes import Summarized, in_shares
from pytest_kdmem.engines.transformers.quiet import quiet
from pytest_kdmem.engines.transformers.reduction import reduce_margins
from pytest_kdmem.engines.transformers.tolerance import tolerance_of
from pytest_kdmem.engines.transformers.windows import Rows, Summaries, suffix_places, summarize_margins
from pytest_kdmem.errors import EngineError, OverflowedError
from pytest_kdmem.specs.declared import Extraction

# Logits of a batch, in float32, that may be in memory at once.
LOGITS_BYTES = 1 << 30


@dataclass(frozen=True, eq=False)
class LiveModel:
    """A causal language model that is being trained.

    Args:
        module: The model as its training calls it; under FSDP all processes must score together.
        device: Device of its inputs.
        dtype: Dtype that it computes in; that of its weights, or of the autocast.
        batch_size: Largest number of examples of a forward pass.
        is_sharded: Whether the processes of a group each hold a part of it.
    """

    module: nn.Module
    device: torch.device
    dtype: torch.dtype
    batch_size: int
    is_sharded: bool = False

    @property
    def inner(self) -> Any:
        """The model of transformers inside of what wraps it."""
        inner: Any = self.module
        while isinstance(wrapped := getattr(inner, "_orig_mod", None) or getattr(inner, "module", None), nn.Module):
            inner = wrapped
        return inner.get_base_model() if hasattr(inner, "get_base_model") else inner

    @property
    def name(self) -> str:
        return type(self.inner).__name__

    @property
    def vocabulary(self) -> int:
        """Number of its tokens."""
        return int(self.inner.config.get_text_config().vocab_size)

    @property
    def positions(self) -> int | None:
        """Number of its positions; None if it has no limit."""
        positions: int | None = getattr(self.inner.config.get_text_config(), "max_position_embeddings", None)
        return positions

    def check(self, examples: Sequence[Example], extraction: Extraction) -> None:
        """Check that examples are of this model's tokens, and no longer than its positions.

        Raises:
            EngineError: They are not.
        """
        if self.positions is not None and extraction.scored_tokens > self.positions:
            raise EngineError(
                f"At most {self.positions} positions were expected by {self.name}, and prefix and suffix are"
                f" {extraction.scored_tokens} tokens; score with a shorter Extraction."
            )
        check_ids(examples, self.vocabulary, self.name)

    def verdicts(self, examples: Sequence[Example], extraction: Extraction) -> Scores:
        """Score whether each example's suffix is decoded greedily from its prefix, in all processes together.

        Args:
            examples: Examples of at least prefix and suffix tokens; the same in every process.
            extraction: Lengths of prefix and suffix.

        Returns:
            margins and first misses; the metrics of whole windows are unknown.

        Raises:
            EngineError: The model gives NaN or infinity, or runs out of memory, in any of the processes.
        """

        size = self._fitting_size(examples, extraction)

        def summarize(rows: Rows) -> Summarized:
            with undisturbed(self.module):
                own = [examples[row] for row in rows]
                return Summarized(self._summaries(own, extraction, size), self._tolerance())

        summaries, tolerance = in_shares(len(examples), summarize, columns=3, device=self.device)
        if (broken := summaries[:, 2] != 0).any():
            raise self._overflow(f"at example {examples[int(broken.argmax())].position}")
        return verdict_scores(summaries[:, 0].astype(np.float32), summaries[:, 1].astype(np.int16), tolerance)

    def _fitting_size(self, examples: Sequence[Example], extraction: Extraction) -> int:
        """Examples in a batch: the same in every process, as those that share a model must make the same passes."""
        starts = [example.start(extraction) for example in examples]
        tokens = max(starts, default=0) - min(starts, default=0) + extraction.suffix_tokens
        return max(1, min(self.batch_size, LOGITS_BYTES // (4 * self.vocabulary * tokens)))

    def _summaries(self, examples: Sequence[Example], extraction: Extraction, size: int) -> Summaries:
        """Least margin, first miss and whether a logit is broken of each example, float64 ``[n, 3]``."""
        summaries = np.empty((len(examples), 3))
        starts = np.array([example.start(extraction) for example in examples], dtype=np.int64)
        order = np.argsort(starts, kind="stable")  # so that the suffixes of a batch begin at near places
        cut = [examples[row].ids[: examples[row].end(extraction)] for row in order]
        ids = PaddedIds(cut, str(self.device), starts=starts[order].tolist())

        def score_batch(batch: slice) -> None:
            first = int(starts[order[batch]].min())
            places = suffix_places(torch.from_numpy(starts[order[batch]] - first), extraction.suffix_tokens)
            try:
                margins = self._margins(ids.batch(batch), first)
                margins = margins.gather(1, places.to(margins.device))
                summaries[order[batch]] = summarize_margins(margins).cpu().numpy()
            except RuntimeError as error:
                if self.is_sharded and is_out_of_memory(error):  # other processes wait for passes of this size
                    raise out_of_memory(self.name, self.device.type) from error
                raise

        Batches(self.name, self.device.type, size).run(len(examples), score_batch)
        return summaries

    def _logits(self, ids: Tensor, first: int) -> Tensor:
        """Logits ``[batch, tokens − first, vocabulary]`` of the tokens from ``first`` on."""
        wanted = ids.shape[1] - first
        keeps = "logits_to_keep" in signature(type(self.inner).forward).parameters
        optional = {"logits_to_keep": wanted} if keeps else {}
        logits: Tensor = self.module(input_ids=ids[:, :-1], use_cache=False, **optional).logits
        return logits[:, -wanted:]

    def _margins(self, ids: Tensor, first: int) -> Tensor:
        """Margins ``[batch, tokens − first]`` of the tokens from ``first`` on."""
        logits, targets = self._logits(ids, first).flatten(0, 1), ids[:, first:].flatten()
        return reduce_margins(logits, targets, lambda part: part, chunk=len(targets)).reshape(len(ids), -1)

    def _tolerance(self) -> float:
        """The tolerance over random ids, which is the same in each process; see `tolerance_of`."""
        length = min(64, self.positions or 64)
        ids = torch.randint(0, self.vocabulary, (4, length), generator=torch.Generator().manual_seed(0)).to(self.device)
        batched = self._margins(ids, 1)
        single = torch.cat([self._margins(row[None], 1) for row in ids])
        if (batched + single).isnan().any():
            raise self._overflow("whatever the text")
        prompt_tokens = length * 3 // 4
        stepped = margins_step_by_step(self.module, ids, prompt_tokens)  # type: ignore[arg-type]
        changes = [(batched - single).abs().max(), (batched.cpu()[:, prompt_tokens:] - stepped).abs().max()]
        highest = self._logits(ids, 1).float().amax(dim=-1).abs().max()
        return tolerance_of(max(map(float, changes)), float(highest), self.dtype)

    def _overflow(self, where: str) -> EngineError:
        return OverflowedError(
            f"Finite logits were expected of {self.name}, and it gives NaN or infinity {where}; its training has"
            f" diverged, or {self.dtype} overflows."
        )


@contextmanager
def undisturbed(module: nn.Module) -> Iterator[None]:
    """Let a model that is being trained run as it would be evaluated, and leave it in the modes that it was in.

    No inference mode: tensors of it that a model or FSDP keeps could not be trained with. Compiled models run as they
    were written, because they would be compiled anew for these shapes.
    """
    modes = [(part, part.training) for part in module.modules()]
    with ExitStack() as stack:
        stack.enter_context(torch.no_grad())
        stack.enter_context(torch.compiler.set_stance("force_eager"))
        stack.enter_context(quiet())
        module.eval()
        try:
            yield
        finally:
            for part, was_training in modes:
                part.training = was_training
