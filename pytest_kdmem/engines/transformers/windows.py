"""Collects the values of positions into scores of whole examples."""

from __future__ import annotations

from typing import NamedTuple

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


class Places(NamedTuple):
    """Where the examples of a batch end, and their suffixes begin.

    Attributes:
        lengths: Number of tokens of each example ``[batch]``.
        starts: Place of the first token of each suffix ``[batch]``, before which no loss was taken in training; None
            if all begin behind the prefix of the extraction, and the loss is of the whole window.
    """

    lengths: Tensor
    starts: Tensor | None


def summarize_windows(positions: Positions, places: Places, extraction: Extraction) -> Tensor:
    """Reduce the values of a batch to one row for each example, float64 ``[batch, 6]``, on their device.

    Args:
        positions: Values ``[batch, predicted tokens]``; those beyond an example's end count only if they are broken.
        places: Where the examples end, and their suffixes begin.
        extraction: Lengths of prefix and suffix.
    """

    def suffix_of(values: Tensor) -> Tensor:
        # Position p predicts token p + 1.
        if places.starts is None:
            return values[:, extraction.prefix_tokens - 1 : extraction.scored_tokens - 1]
        return values.gather(1, suffix_places(places.starts, extraction.suffix_tokens) - 1)

    margin = suffix_of(positions.margin)
    return torch.stack(
        [
            margin.amin(dim=1).double(),
            first_misses(margin).double(),
            suffix_of(positions.logprob).sum(dim=1, dtype=torch.float64),
            -mean_of_window(positions.logprob, places),
            suffix_of(positions.entropy).mean(dim=1, dtype=torch.float64),
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


def suffix_places(starts: Tensor, tokens: int) -> Tensor:
    """The place of each of the first tokens of suffixes ``[batch, tokens]``."""
    return starts[:, None] + torch.arange(tokens, device=starts.device)


def mean_of_window(values: Tensor, places: Places) -> Tensor:
    """Mean over the predicted tokens of each example, of values ``[batch, tokens]``: float64.

    They are all but the first, or those of the answer if suffixes have places of their own.
    """
    positions = torch.arange(values.shape[1], device=values.device)
    predicted = places.lengths - 1
    inside = positions < predicted[:, None]
    if places.starts is not None:
        inside &= positions >= places.starts[:, None] - 1
        predicted = places.lengths - places.starts
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
