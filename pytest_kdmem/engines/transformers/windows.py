"""Collects the values of positions into scores of whole examples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.engines.protocol import Scores
from pytest_kdmem.engines.transformers.reduction import Positions
from pytest_kdmem.specs.declared import Extraction


class WindowScores:
    """Scores of n examples by all metrics, filled batch by batch in any order."""

    def __init__(self, examples: Sequence[Example], extraction: Extraction) -> None:
        self._examples = examples
        # Position p predicts token p + 1.
        self._suffix = slice(extraction.prefix_tokens - 1, extraction.scored_tokens - 1)
        self._columns = np.full((4, len(examples)), np.nan, dtype=np.float32)
        self._misses = np.full(len(examples), -1, dtype=np.int16)

    def fill(self, rows: Sequence[int], positions: Positions) -> None:
        """Fill in some examples.

        Args:
            rows: Indices of the examples.
            positions: Values ``[rows, predicted tokens]``; those beyond an example's end are ignored.
        """
        for index, row in enumerate(rows):
            margin, logprob, entropy = (values[index] for values in positions)
            self._misses[row] = first_miss(margin[self._suffix])
            self._columns[:, row] = (
                margin[self._suffix].min(),
                logprob[self._suffix].sum(dtype=torch.float64),
                -logprob[: self.predicted_tokens(row)].mean(dtype=torch.float64),
                entropy[self._suffix].mean(dtype=torch.float64),
            )

    def predicted_tokens(self, row: int) -> int:
        """Number of predicted tokens of an example: all but its first."""
        return len(self._examples[row].ids) - 1

    def scores(self, tolerance: float) -> Scores:
        margin, logprob, nll, entropy = self._columns
        return Scores(margin, self._misses, logprob, nll, entropy, tolerance)


def first_miss(margins: Tensor) -> int:
    """Position of the first negative margin, −1 if there is none; a tie is a hit."""
    missed = (margins < 0).nonzero()
    return int(missed[0]) if len(missed) else -1
