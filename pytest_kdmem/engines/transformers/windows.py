"""Figures of positions → figures of examples, where every metric of the window is asked for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.engines.protocol import Scores
from pytest_kdmem.engines.transformers.reduction import Positions
from pytest_kdmem.specs.declared import Extraction


class Windows:
    """What a pass gives of n examples, taken batch by batch in any order."""

    def __init__(self, examples: Sequence[Example], extraction: Extraction) -> None:
        self._examples = examples
        # The figure at position p is that of token p + 1.
        self._suffix = slice(extraction.prefix_tokens - 1, extraction.scored_tokens - 1)
        self._columns = np.full((4, len(examples)), np.nan, dtype=np.float32)
        self._misses = np.full(len(examples), -1, dtype=np.int16)

    def take(self, rows: Sequence[int], positions: Positions) -> None:
        """Figures ``[rows, predicted tokens]`` of some of the examples; those beyond an example's end do not count."""
        for at, row in enumerate(rows):
            margin, logprob, entropy = (part[at] for part in positions)
            self._misses[row] = first_miss(margin[self._suffix])
            self._columns[:, row] = (
                margin[self._suffix].min(),
                logprob[self._suffix].sum(dtype=torch.float64),
                -logprob[: self.predicted(row)].mean(dtype=torch.float64),
                entropy[self._suffix].mean(dtype=torch.float64),
            )

    def predicted(self, row: int) -> int:
        """Predicted tokens of an example."""
        return len(self._examples[row].ids) - 1

    def scores(self, tolerance: float) -> Scores:
        return Scores(self._columns[0], self._misses, self._columns[1], self._columns[2], self._columns[3], tolerance)


def first_miss(margins: Tensor) -> int:
    """Position of the first negative margin, −1 if there is none; a tie is a hit."""
    missed = (margins < 0).nonzero()
    return int(missed[0]) if len(missed) else -1
