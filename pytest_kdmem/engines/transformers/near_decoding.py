"""Decodes suffixes greedily until it is certain whether they come near the training suffix.

Most continuations leave the text for good at their first miss, and after a few more tokens no way to go on leads back
near enough. So decoding begins at the first miss, which the one pass has told, and an example leaves its batch as soon
as its verdict no longer depends on what follows. The verdicts are those of decoding every example to its end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from pytest_kdmem.base.arrays import Flags
from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.engines.nearness_bounds import Continuations, Counts
from pytest_kdmem.engines.protocol import NearVerdicts, check_ids, ignore_progress
from pytest_kdmem.engines.transformers.batches import LARGEST_BATCH, SMALL_BATCH, Batches
from pytest_kdmem.engines.transformers.engine import TransformersEngine
from pytest_kdmem.engines.transformers.passes import ForwardPasses
from pytest_kdmem.engines.transformers.reduction import reduce_margins
from pytest_kdmem.engines.transformers.windows import Rows
from pytest_kdmem.specs.declared import Extraction
from pytest_kdmem.specs.nearness import Nearness


class NearDecoder:
    """Decodes examples by one loaded model.

    Args:
        passes: Passes of the model.
        examples: Examples of at least prefix and suffix tokens.
        extraction: Lengths of prefix and suffix.
        nearness: How near counts as near.
        tolerance: Half the width of the ambiguous band, in logits.
    """

    def __init__(
        self,
        passes: ForwardPasses,
        examples: Sequence[Example],
        extraction: Extraction,
        nearness: Nearness,
        tolerance: float,
    ) -> None:
        self._passes, self._examples, self._nearness, self._tolerance = passes, examples, nearness, tolerance
        self._starts = np.array([example.start(extraction) for example in examples], dtype=np.int64)
        self._length = extraction.suffix_tokens
        self._near = np.zeros(len(examples), dtype=bool)
        self._ambiguous = np.zeros(len(examples), dtype=bool)

    def verdicts(self, hits: Counts, batches: Batches, advance: Callable[[int], None]) -> NearVerdicts:
        """Decode every example.

        Args:
            hits: Number of suffix tokens before the first miss of each example ``[n]``, as a pass told it. Where this
                run of the model misses earlier, decoding begins there.
            batches: Divides the examples into batches.
            advance: Receives the number of examples done, every few examples.

        Raises:
            EngineError: The model gives NaN, or a single example does not fit into memory.
        """
        hits = hits.copy()
        rows: Rows = np.arange(len(self._examples))
        while len(rows):
            # Prompts of one length lie side by side, as most of a batch is decoded without padding.
            rows = rows[np.argsort(self._starts[rows] + hits[rows], kind="stable")]

            def decode(batch: slice, rows: Rows = rows) -> list[tuple[int, int]]:
                missed_earlier: list[tuple[int, int]] = []
                for equal in _runs_of_equal(rows[batch], self._starts + hits):
                    missed_earlier += self._decode(equal, hits[equal])
                return missed_earlier

            earlier = [miss for found in batches.run(len(rows), decode, advance) for miss in found]
            rows = np.array([row for row, _ in earlier], dtype=np.intp)
            hits[rows] = [miss for _, miss in earlier]
            advance = ignore_progress  # these were counted
        return NearVerdicts(self._near, self._ambiguous)

    @torch.inference_mode()
    def _decode(self, rows: Rows, hits: Counts) -> list[tuple[int, int]]:
        """Decode examples whose prompts, with hits, are equally long; return those that miss earlier, and where."""
        passes, length = self._passes, int(self._starts[rows[0]] + hits[0])
        ids = torch.from_numpy(np.stack([self._examples[row].ids[:length] for row in rows]).astype(np.int64))
        sequences = ids.to(passes.device)
        hidden, cache = passes.step(sequences)
        is_wrong, is_tied, misses = self._checked_hits(rows, hits, sequences, hidden)
        state = Continuations.after_hits(self._suffixes(rows), hits, self._nearness)
        self._near[rows], self._ambiguous[rows] = state.is_near, is_tied
        is_kept = ~is_wrong & ~state.is_decided
        held, last = rows, hidden[:, -1]
        while is_kept.any():
            held, state = held[is_kept], state.kept(is_kept)
            kept = torch.from_numpy(np.flatnonzero(is_kept)).to(passes.device)
            sequences, last = sequences[kept], last[kept]
            if cache is not None and len(kept) < len(is_kept):
                cache.batch_select_indices(kept)
            following, is_tied = self._next_tokens(last, held)
            self._ambiguous[held] |= is_tied
            state = state.appended(following.cpu().numpy().astype(np.int32))
            self._near[held] = state.is_near
            is_kept = ~state.is_decided
            if is_kept.any():
                sequences = torch.cat([sequences, following[:, None]], dim=1)
                hidden, cache = passes.step(sequences if cache is None else following[:, None], cache)
                last = hidden[:, -1]
        return [(int(row), int(miss)) for row, miss in zip(rows[is_wrong], misses[is_wrong], strict=True)]

    def _suffixes(self, rows: Rows) -> Counts:
        """The suffixes of examples ``[b, suffix tokens]``."""
        starts = self._starts[rows].tolist()
        suffixes = [
            self._examples[row].ids[start : start + self._length] for row, start in zip(rows, starts, strict=True)
        ]
        return np.stack(suffixes).astype(np.int32)

    def _checked_hits(self, rows: Rows, hits: Counts, sequences: Tensor, hidden: Tensor) -> tuple[Flags, Flags, Counts]:
        """Check that this run hits every token that a pass before it hit, as another kernel may round otherwise.

        Returns:
            Whether one is missed ``[b]``, whether one before that is a near tie ``[b]``, and the first miss ``[b]``;
            what comes when the verdict is certain does not count.
        """
        tokens = int(hits.max())
        if tokens == 0:
            none = np.zeros(len(rows), dtype=bool)
            return none, none, hits
        before, targets = hidden[:, -tokens - 1 : -1], sequences[:, -tokens:]
        flat = reduce_margins(
            before.reshape(-1, hidden.shape[-1]), targets.reshape(-1), self._passes.logits, chunk=self._passes.chunk
        )
        margins = flat.reshape(len(rows), tokens).cpu().numpy()
        places: Counts = np.arange(tokens) - (
            tokens - hits[:, None]
        )  # in the suffix; of fewer hits, the first are prompt
        counts = (places >= 0) & (places < self._certain_after)
        self._passes.check_finite((np.isnan(margins) & counts).any(axis=1), [self._examples[row] for row in rows])
        is_miss = counts & (margins < 0)
        misses = np.where(is_miss, places, self._length).min(axis=1)
        ties = counts & (np.abs(margins) <= self._tolerance) & (places < misses[:, None])
        is_tied: Flags = np.asarray(ties.any(axis=1))
        is_wrong: Flags = np.asarray(is_miss.any(axis=1))
        return is_wrong, is_tied, misses

    @property
    def _certain_after(self) -> int:
        """Number of hits from the suffix's beginning on after which it is recited, however it goes on."""
        without_edits = self._length - self._nearness.edits(self._length)
        return without_edits if self._nearness.run is None else min(without_edits, self._nearness.run)

    def _next_tokens(self, hidden: Tensor, rows: Rows) -> tuple[Tensor, Flags]:
        """The likeliest tokens after hidden states ``[b, width]``, and whether another is as likely within rounding."""
        logits = self._passes.logits(hidden).float()
        values, tokens = logits.topk(2, dim=1)
        broken = ~values[:, 0].isfinite() | logits.isnan().any(dim=1)
        self._passes.check_finite(broken.cpu().numpy(), [self._examples[row] for row in rows])
        is_tied: Flags = (values[:, 0] - values[:, 1] <= self._tolerance).cpu().numpy()
        return tokens[:, 0], is_tied


def _runs_of_equal(rows: Rows, lengths: Counts) -> Iterator[Rows]:
    """Divide rows, which ascend by length, into those of equal lengths."""
    if len(rows):
        yield from np.split(rows, np.flatnonzero(np.diff(lengths[rows])) + 1)


def near_verdicts(
    engine: TransformersEngine,
    examples: Sequence[Example],
    hits: Counts,
    extraction: Extraction,
    nearness: Nearness,
    advance: Callable[[int], None],
) -> NearVerdicts:
    """Which examples a loaded model recites nearly verbatim.

    Args:
        engine: The model.
        examples: Examples of at least prefix and suffix tokens.
        hits: Number of suffix tokens before the first miss of each example ``[n]``, as a pass told it.
        extraction: Lengths of prefix and suffix.
        nearness: How near counts as near.
        advance: Receives the number of examples done, every few examples.

    Raises:
        EngineError: The model gives NaN, or a single example does not fit into memory.
    """
    check_ids(examples, engine.vocabulary, engine.name)
    decoder = NearDecoder(engine.passes, examples, extraction, nearness, engine.tolerance)
    with engine.computing():
        return decoder.verdicts(hits, _batches(engine), advance)


def _batches(engine: TransformersEngine) -> Batches:
    """Batches for decoding: a step of a small model's few examples takes longer to begin than to compute."""
    batches, device = engine.batches, engine.passes.device
    if batches.at_once == 1 or batches.size != SMALL_BATCH:
        return batches
    return Batches(engine.name, device, LARGEST_BATCH[device], batches.at_once)
