"""Teacher and baseline side by side: one pass over both gives the figures of each, and KL(teacher ‖ baseline)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.engines.protocol import Floats, Scores, check_ids
from pytest_kdmem.engines.transformers.engine import TransformersEngine, by_length
from pytest_kdmem.engines.transformers.reduction import PairedPositions, reduce_pair
from pytest_kdmem.engines.transformers.windows import Windows
from pytest_kdmem.errors import EngineError
from pytest_kdmem.specs.declared import Extraction


@dataclass(frozen=True)
class PairedScores:
    """Scores of n examples by each model; ``kl`` ``[n]`` is the mean over the window's predicted tokens (nats)."""

    teacher: Scores
    baseline: Scores
    kl: Floats


class PairedEngine:
    """Two loaded models of one tokenizer on one device.

    Args:
        teacher, baseline: the loaded models.
        tokens: the tokenizer's size, to which both models' logits are cut before they are compared; None if unknown.
    """

    def __init__(self, teacher: TransformersEngine, baseline: TransformersEngine, tokens: int | None) -> None:
        self._teacher, self._baseline = teacher, baseline
        shared = min(teacher.vocabulary, baseline.vocabulary)
        self._vocabulary = min(shared, tokens or shared)
        self._chunk = max(1, min(teacher.chunk, baseline.chunk) // 2)
        # The larger model's batches hold the smaller one's as well.
        teacher.batch_size = min(teacher.batch_size, baseline.batch_size)

    def score(
        self, examples: Sequence[Example], extraction: Extraction, advance: Callable[[int], None]
    ) -> PairedScores:
        """All metrics of examples that are long enough; ``advance`` is told of every few that are done.

        Raises:
            EngineError: a model gives NaN, the two are infinitely far apart, or one example does not fit into memory.
        """
        for model in (self._teacher, self._baseline):
            check_ids(examples, model.vocabulary, model.name)
        windows = Windows(examples, extraction), Windows(examples, extraction)
        kl = np.full(len(examples), np.nan, dtype=np.float32)

        def run(rows: Sequence[int]) -> list[None]:
            batch = [examples[row] for row in rows]
            found = self._forward(batch)
            divergence = found.divergence.reshape(len(batch), -1)
            for side, model, positions in zip(windows, (self._teacher, self._baseline), found[:2], strict=True):
                side.take(rows, model.shaped(batch, positions))
            for at, row in enumerate(rows):
                kl[row] = divergence[at, : windows[0].predicted(row)].mean(dtype=torch.float64)
                if not np.isfinite(kl[row]):
                    raise EngineError(
                        f"A finite KL({self._teacher.name} ‖ {self._baseline.name}) was expected, and the latter gives"
                        f" no probability to a token of the former's at example {examples[row].position}; audit with"
                        " --kdmem-dtype float32, or look at what masks its logits."
                    )
            advance(len(rows))
            return [None] * len(rows)

        self._teacher.in_batches(by_length(examples), run)
        return PairedScores(windows[0].scores(self._teacher.tolerance), windows[1].scores(self._baseline.tolerance), kl)

    def close(self) -> None:
        self._teacher.close()
        self._baseline.close()

    @torch.inference_mode()
    def _forward(self, batch: Sequence[Example]) -> PairedPositions:
        end = max(len(example.ids) for example in batch)
        hidden, targets = self._teacher.hidden(batch, 1, end)
        other, _ = self._baseline.hidden(batch, 1, end)
        return reduce_pair(
            (hidden, self._teacher.logits),
            (other, self._baseline.logits),
            targets,
            vocabulary=self._vocabulary,
            chunk=self._chunk,
        )
