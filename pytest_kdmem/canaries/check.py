"""Reads a training set as training does, and counts the copies of each canary that it holds whole."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from pytest_kdmem.base.arrays import TokenIds
from pytest_kdmem.base.text import count
from pytest_kdmem.canaries.manifest import Manifest
from pytest_kdmem.corpus.examples import Example, stream_examples
from pytest_kdmem.corpus.tokenizer import Tokenizer
from pytest_kdmem.errors import DataError
from pytest_kdmem.specs.declared import Extraction, TrainingSet

Copies = npt.NDArray[np.int64]
# Strings are looked up by this many tokens at their start.
KEY_TOKENS = 4
FACTORS = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 1], dtype=np.uint64)


def count_copies(
    manifest: Manifest,
    training_set: TrainingSet,
    tokenizer: Tokenizer | None,
    extraction: Extraction,
    *,
    offline: bool = False,
) -> Copies:
    """Count for each canary and twin ``[c]`` the examples that hold all of it, by the audit's reading of the set.

    Of a conversation only the answer counts, and of a canary there only its suffix. The first token is left out, as it
    depends on what stands before it.

    Raises:
        KdmemError: The training set cannot be read.
    """
    wholes = _Index([np.array(canary.ids[1:], np.int32) for canary in manifest.canaries])
    suffixes = _Index([np.array(canary.ids[manifest.prefix_tokens + 1 :], np.int32) for canary in manifest.canaries])
    copies = np.zeros(len(manifest.canaries), np.int64)
    for example in stream_examples(training_set, tokenizer, training_set.lengths(extraction), offline=offline):
        for canary in _held(example, wholes, suffixes):
            copies[canary] += 1
    return copies


def check_copies(manifest: Manifest, copies: Copies, source: str) -> None:
    """Check that a training set holds each canary as often as it was registered, and no twin.

    Raises:
        DataError: It does not.
    """
    planned = np.array([canary.copies for canary in manifest.canaries])
    if missing := int((copies < planned).sum()):
        raise DataError(
            f"Canaries as they were registered were expected in {source}, and {count(missing)} of"
            f" {len(manifest.planted)} are whole in fewer examples than that: was it prepared with the same form,"
            " window and columns, and was it changed since?"
        )
    if twins := int((copies[planned == 0] > 0).sum()):
        raise DataError(
            f"No twin of a canary was expected in {source}, and {count(twins)} are in it; draw other canaries."
        )


def _held(example: Example, wholes: _Index, suffixes: _Index) -> set[int]:
    """The canaries that an example holds."""
    return set(wholes.find(example.ids) if example.prefix_tokens is None else suffixes.find(example.learned))


class _Index:
    """Finds strings of token ids in longer ones.

    Args:
        strings: The strings, each of at least `KEY_TOKENS` tokens.
    """

    def __init__(self, strings: list[TokenIds]) -> None:
        self._strings = strings
        self._numbers: dict[int, list[int]] = {}
        for number, ids in enumerate(strings):
            self._numbers.setdefault(int(_keys(ids)[0]), []).append(number)
        self._keys = np.array(sorted(self._numbers), dtype=np.uint64)

    def find(self, ids: TokenIds) -> Iterator[int]:
        """Yield the index of each string that stands in some token ids."""
        if len(ids) < KEY_TOKENS:
            return
        keys = _keys(ids)
        for place in np.flatnonzero(np.isin(keys, self._keys)).tolist():
            for number in self._numbers[int(keys[place])]:
                string = self._strings[number]
                if np.array_equal(ids[place : place + len(string)], string):
                    yield number


def _keys(ids: TokenIds) -> npt.NDArray[np.uint64]:
    """A number for each run of `KEY_TOKENS` tokens, uint64 ``[n - 3]``."""
    runs = np.lib.stride_tricks.sliding_window_view(ids, KEY_TOKENS).astype(np.uint64)
    keys: npt.NDArray[np.uint64] = (runs * FACTORS).sum(axis=1, dtype=np.uint64)
    return keys
