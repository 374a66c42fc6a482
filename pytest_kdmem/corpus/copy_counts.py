"""Counts how often each of the documents stands that no model is asked for, with 12 bytes for each."""

from __future__ import annotations

import hashlib
from array import array
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

# Hex digits of a digest that tell two documents apart: of 10 million, two are taken for one with a chance of 3 in 10^6.
DIGITS = 16


@dataclass(frozen=True)
class CopyCount:
    """How many distinct documents stand so often; empty ones, which nobody can recite, are counted apart.

    Attributes:
        copies: How often each of them stands.
        distinct: Number of them.
        fewest_tokens: Length in tokens of the shortest of them; of an answer, without what stands before it.
        most_tokens: Length in tokens of the longest of them.
    """

    copies: int
    distinct: int
    fewest_tokens: int
    most_tokens: int


class CopyCounter:
    """Counts the copies of documents that come one by one."""

    def __init__(self) -> None:
        self._digests, self._tokens = array("Q"), array("I")

    def add(self, digest: str, tokens: int) -> None:
        """Count a document.

        Args:
            digest: Hex digest of its content.
            tokens: Its length in tokens.
        """
        self._digests.append(int(digest[:DIGITS], 16))
        self._tokens.append(tokens)

    def add_ids(self, ids: npt.NDArray[np.integer[Any]]) -> None:
        """Count a document by its token ids ``[n]``."""
        self.add(hashlib.sha256(ids.astype("<i4").tobytes()).hexdigest(), len(ids))

    def counts(self) -> tuple[CopyCount, ...]:
        """The documents by the number of their copies, ascending, and those that are empty before the others."""
        _, first, copies = np.unique(np.frombuffer(self._digests, np.uint64), return_index=True, return_counts=True)
        tokens = np.frombuffer(self._tokens, np.uint32)[first]
        counts = []
        for number in np.unique(copies).tolist():
            of_number = tokens[copies == number]
            kinds = of_number[of_number == 0], of_number[of_number > 0]
            counts += [CopyCount(number, len(of), int(of.min()), int(of.max())) for of in kinds if len(of)]
        return tuple(counts)
