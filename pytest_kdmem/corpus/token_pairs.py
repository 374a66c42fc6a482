"""Finds the tokens that two readings of a text have in common, so that losses are compared token by token."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pytest_kdmem.base.arrays import TokenIds, Values

Indices = npt.NDArray[np.int64]

# Tokens by which one reading may be shifted against another of the same document.
LONGEST_SHIFT = 8
# Least share of equal tokens at which two readings of a document are the same tokens, and no other tokenization.
SAME_TOKENS = 0.8
# Fewer tokens than these say too little about a document.
FEWEST_TOKENS = 4


@dataclass(frozen=True)
class TokenPair:
    """What is compared in one document or block: some tokens as read, and some of the other reading.

    Attributes:
        as_read: Sequence and position of each token as read, ``[n, 2]``.
        otherwise: Sequence and position of each token of the other reading, ``[m, 2]``.
        divisors: Number of tokens by which each sum of losses is divided.
    """

    as_read: Indices
    otherwise: Indices
    divisors: tuple[int, int]

    def losses(self, as_read: Sequence[Values], otherwise: Sequence[Values]) -> tuple[float, float]:
        """Both losses in nats a token, given the loss of each token of each reading's sequences."""
        sums = (float(values.sum()) for values in self._compared(as_read, otherwise))
        first, second = (total / divisor for total, divisor in zip(sums, self.divisors, strict=True))
        return first, second

    def greatest(self, as_read: Sequence[Values], otherwise: Sequence[Values]) -> tuple[float, float]:
        """The greatest loss of a token in both, given the same losses, in nats."""
        first, second = (float(values.max()) for values in self._compared(as_read, otherwise))
        return first, second

    def _compared(self, as_read: Sequence[Values], otherwise: Sequence[Values]) -> Iterator[Values]:
        for losses, indices in ((as_read, self.as_read), (otherwise, self.otherwise)):
            yield np.array([losses[sequence][position] for sequence, position in indices], dtype=np.float64)


def pair_shifted(
    sequence: int, as_read: TokenIds, otherwise: TokenIds, *, skip: int, shift: int | None = None
) -> TokenPair | None:
    """Pair the equal tokens of two readings of one document, one of which may have a few more tokens in front.

    Args:
        sequence: Index of the document in both readings.
        as_read: Its tokens as read.
        otherwise: Its tokens in the other reading.
        skip: Number of tokens at the start that are not compared, as what stands before them may give them away.
        shift: Position of a token in the other reading less that as read, if it is known.

    Returns:
        the pairs, or None if the readings have too few tokens in common.
    """
    shifts = range(-LONGEST_SHIFT, LONGEST_SHIFT + 1) if shift is None else (shift,)
    best = max((_equal_positions(as_read, otherwise, by) for by in shifts), key=lambda pairs: pairs.shape[1])
    overlap = min(len(as_read), len(otherwise)) - LONGEST_SHIFT
    if shift is None and best.shape[1] < SAME_TOKENS * overlap:
        return None
    first, second = best[:, (best.min(axis=0) >= skip)]
    return _pair(_places(sequence, first), _places(sequence, second))


def pair_whole(sequence: int, as_read: TokenIds, otherwise: TokenIds, *, same_text: bool) -> TokenPair | None:
    """Pair all tokens of a document with all tokens of its other reading; nothing predicts the first of each.

    Args:
        sequence: Index of the document in both readings.
        as_read: Its tokens as read.
        otherwise: Its tokens in the other reading.
        same_text: Whether both stand for the same text, so that the losses of the whole text are compared, by the
            number of tokens as read; else the mean losses are compared.
    """
    first, second = (np.arange(1, len(ids)) for ids in (as_read, otherwise))
    if min(len(first), len(second)) < FEWEST_TOKENS:
        return None
    divisors = (len(first), len(first) if same_text else len(second))
    return TokenPair(_places(sequence, first), _places(sequence, second), divisors)


def pair_by_origin(as_read: Sequence[Indices], otherwise: Sequence[Indices], *, skip: int) -> list[TokenPair]:
    """Pair tokens of two ways to cut one stream into blocks, a pair for each block of the other way.

    Args:
        as_read: For each block as read, the place of each token in the stream, −1 for special tokens.
        otherwise: The same for the blocks of the other way.
        skip: Number of tokens at the start of a block, of either way, that are not compared.
    """
    length = 1 + max((int(origins.max(initial=-1)) for origins in (*as_read, *otherwise)), default=-1)
    places = np.full((length, 2), -1, dtype=np.int64)
    for block, origins in enumerate(as_read):
        positions = np.flatnonzero(origins >= 0)
        positions = positions[positions >= skip]
        places[origins[positions]] = _places(block, positions)
    pairs = []
    for block, origins in enumerate(otherwise):
        positions = np.flatnonzero(origins >= 0)
        positions = positions[positions >= skip]
        partners = places[origins[positions]]
        shared = partners[:, 0] >= 0
        pairs.append(_pair(partners[shared], _places(block, positions[shared])))
    return [pair for pair in pairs if pair is not None]


def _equal_positions(as_read: TokenIds, otherwise: TokenIds, shift: int) -> Indices:
    """Positions ``[2, n]`` of the equal tokens if the other reading lies ``shift`` tokens further."""
    positions = np.arange(max(0, -shift), max(0, min(len(as_read), len(otherwise) - shift)))
    equal = positions[as_read[positions] == otherwise[positions + shift]]
    return np.stack([equal, equal + shift])


def _pair(as_read: Indices, otherwise: Indices) -> TokenPair | None:
    # Nothing predicts the first token of a sequence.
    predicted = (as_read[:, 1] > 0) & (otherwise[:, 1] > 0)
    count = int(predicted.sum())
    return TokenPair(as_read[predicted], otherwise[predicted], (count, count)) if count >= FEWEST_TOKENS else None


def _places(sequence: int, positions: Indices) -> Indices:
    return np.stack([np.full_like(positions, sequence), positions], axis=1)
