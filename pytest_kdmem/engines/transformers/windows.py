"""Collects the values of positions into scores of whole examples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pytest_kdmem.base.arrays import Flags
from pytest_kdmem.engines.protocol import Scores, Windows
from pytest_kdmem.engines.transformers.reduction import Positions
from pytest_kdmem.specs.declared import Extraction

Rows = npt.NDArray[np.intp]
# What is kept of an example: one value by each of `SUMMARY`, and for whole windows the margin of each token.
Summaries = npt.NDArray[np.float64]
SUMMARY = ("margin", "first_miss", "logprob", "nll", "entropy", "min_k", "min_k_plus", "broken")
# Share of a window's tokens, the least likely ones, that Min-K% looks at.
LEAST_SHARE = 0.2


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
    """Reduce the values of a batch to one row for each example, float64 ``[batch, 8 + predicted tokens]``.

    The first columns are those of `SUMMARY`, and the others the margin of every predicted token. Rows stay on their
    device.

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
    columns = [
        margin.amin(dim=1),
        first_misses(margin),
        suffix_of(positions.logprob).sum(dim=1, dtype=torch.float64),
        -mean_of_window(positions.logprob, places),
        suffix_of(positions.entropy).mean(dim=1, dtype=torch.float64),
        mean_of_least(positions.logprob, places),
        mean_of_least(positions.standardized, places),
        positions.logprob.isnan().any(dim=1),
    ]
    return torch.cat([torch.stack([column.double() for column in columns], dim=1), positions.margin.double()], dim=1)


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
    inside, predicted = _predicted(values, places)
    return torch.where(inside, values, 0.0).sum(dim=1, dtype=torch.float64) / predicted


def mean_of_least(values: Tensor, places: Places) -> Tensor:
    """Mean over the predicted tokens of each example that have the least fifth of values ``[batch, tokens]``: float64.

    Their number is rounded down, as in the code of Shi et al. (2024) and Zhang et al. (2025), and at least one.
    """
    inside, predicted = _predicted(values, places)
    count = (LEAST_SHARE * predicted.double()).long().clamp(min=1)
    ascending = torch.where(inside, values, torch.inf).sort(dim=1).values
    is_least = torch.arange(values.shape[1], device=values.device) < count[:, None]
    return torch.where(is_least, ascending, 0.0).sum(dim=1, dtype=torch.float64) / count


def _predicted(values: Tensor, places: Places) -> tuple[Tensor, Tensor]:
    """Which of the values ``[batch, tokens]`` are of an example's predicted tokens, and how many ``[batch]`` are."""
    positions = torch.arange(values.shape[1], device=values.device)
    inside = positions < (places.lengths - 1)[:, None]
    if places.starts is None:
        return inside, places.lengths - 1
    return inside & (positions >= places.starts[:, None] - 1), places.lengths - places.starts


def first_misses(margins: Tensor) -> Tensor:
    """Position of the first negative margin of each row ``[batch, tokens]``, −1 if there is none; a tie is a hit."""
    missed = margins < 0
    return torch.where(missed.any(dim=1), missed.int().argmax(dim=1), -1)


class WindowScores:
    """Scores of n examples by all metrics, filled batch by batch in any order.

    Args:
        lengths: Number of tokens of each example ``[n]``.
    """

    def __init__(self, lengths: Sequence[int]) -> None:
        self._lengths = lengths
        self._columns = np.full((len(SUMMARY), len(lengths)), np.nan)
        self._margins = np.full(len(lengths), None, np.object_)

    def fill(self, rows: Rows, summaries: Summaries) -> Flags:
        """Fill in the examples of some rows by what `summarize_windows` gives, and return which of them are broken."""
        self._columns[:, rows] = summaries[:, : len(SUMMARY)].T
        for row, margins in zip(rows.tolist(), summaries[:, len(SUMMARY) :].astype(np.float32), strict=True):
            self._margins[row] = margins[: self._lengths[row] - 1].copy()  # the batch is not kept for a part of it
        broken: Flags = self._columns[-1, rows] != 0
        return broken

    def scores(self, tolerance: float) -> Scores:
        margin, misses, logprob, nll, entropy, min_k, min_k_plus, _ = self._columns
        logprob, nll, entropy, min_k, min_k_plus = (
            values.astype(np.float32) for values in (logprob, nll, entropy, min_k, min_k_plus)
        )
        unsure_within = np.full(len(self._lengths), tolerance, np.float32)
        windows = Windows(self._margins, unsure_within, min_k, min_k_plus)
        misses = misses.astype(np.int16)
        return Scores(margin.astype(np.float32), misses, logprob, nll, entropy, tolerance, windows=windows)
