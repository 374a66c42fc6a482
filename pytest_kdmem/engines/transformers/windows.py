"""Collects the values of positions into scores of whole examples."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pytest_kdmem.base.arrays import Flags
from pytest_kdmem.engines.protocol import Scores
from pytest_kdmem.engines.transformers.reduction import Positions
from pytest_kdmem.specs.declared import Extraction

Rows = npt.NDArray[np.intp]
# What is kept of an example: the scores in the order of `Scores`, then whether a logit is broken.
Summaries = npt.NDArray[np.float64]


def summarize_windows(positions: Positions, lengths: Tensor, extraction: Extraction) -> Tensor:
    """Reduce the values of a batch to one row for each example, float64 ``[batch, 6]``, on their device.

    Args:
        positions: Values ``[batch, predicted tokens]``; those beyond an example's end count only if they are broken.
        lengths: Number of tokens of each example ``[batch]``.
        extraction: Lengths of prefix and suffix.
    """
    # Position p predicts token p + 1.
    suffix = slice(extraction.prefix_tokens - 1, extraction.scored_tokens - 1)
    margin = positions.margin[:, suffix]
    return torch.stack(
        [
            margin.amin(dim=1).double(),
            first_misses(margin).double(),
            positions.logprob[:, suffix].sum(dim=1, dtype=torch.float64),
            -mean_of_window(positions.logprob, lengths),
            positions.entropy[:, suffix].mean(dim=1, dtype=torch.float64),
            positions.logprob.isnan().any(dim=1).double(),
        ],
        dim=1,
    )


def summarize_margins(margins: Tensor) -> Tensor:
    """Least margin, first miss and whether a logit is broken, of margins ``[batch, tokens]``: float64 ``[batch, 3]``.

    The margin of a broken logit is NaN.
    """
    columns = [margins.amin(dim=1), first_misses(margins), margins.isnan().any(dim=1)]
    return torch.stack([column.double() for column in columns], dim=1)


def mean_of_window(values: Tensor, lengths: Tensor) -> Tensor:
    """Mean over the predicted tokens of each example, all but its first, of values ``[batch, tokens]``: float64."""
    predicted = lengths - 1
    inside = torch.arange(values.shape[1], device=values.device) < predicted[:, None]
    return torch.where(inside, values, 0.0).sum(dim=1, dtype=torch.float64) / predicted


def first_misses(margins: Tensor) -> Tensor:
    """Position of the first negative margin of each row ``[batch, tokens]``, −1 if there is none; a tie is a hit."""
    missed = margins < 0
    return torch.where(missed.any(dim=1), missed.int().argmax(dim=1), -1)


class WindowScores:
    """Scores of n examples by all metrics, filled batch by batch in any order."""

    def __init__(self, examples: int) -> None:
        self._columns = np.full((5, examples), np.nan)

    def fill(self, rows: Rows, summaries: Summaries) -> Flags:
        """Fill in the examples of some rows by what `summarize_windows` gives, and return which of them are broken."""
        self._columns[:, rows] = summaries[:, :5].T
        broken: Flags = summaries[:, 5] != 0
        return broken

    def scores(self, tolerance: float) -> Scores:
        margin, misses, logprob, nll, entropy = self._columns
        logprob, nll, entropy = (values.astype(np.float32) for values in (logprob, nll, entropy))
        return Scores(margin.astype(np.float32), misses.astype(np.int16), logprob, nll, entropy, tolerance)
