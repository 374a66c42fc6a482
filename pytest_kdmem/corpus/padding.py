"""Finds padding in rows of token ids that bring no mask to tell it from tokens."""

from __future__ import annotations

from collections import Counter

import numpy as np

from pytest_kdmem.base.arrays import TokenIds
from pytest_kdmem.errors import DataError

# One special token at an end is BOS or EOS; a run of them is padding.
SPECIAL_RUN = 2
# Any other token may stand in a row of its own kind at the end of a text, but not at the end of many texts.
TOKEN_RUN = 4
ROWS_AT_LEAST = 2
SHARE_OF_ROWS = 0.05
ROWS_BETWEEN_CHECKS = 256
# A window of a stream begins and ends anywhere, as within a run of spaces; padded rows end in runs nearly always.
WINDOWS_AT_LEAST = 16
SHARE_OF_WINDOWS = 0.25


class PaddingCheck:
    """Looks at the ends of rows of token ids, one after another.

    Args:
        special_ids: Token ids that stand in no text.
        source: The training set, in messages.
    """

    def __init__(self, special_ids: frozenset[int], source: str) -> None:
        self._special_ids = special_ids
        self._source = source
        self._rows = 0
        self._ending_in_run: Counter[int] = Counter()

    def add(self, ids: TokenIds, where: str = "") -> None:
        """Look at the next row; ``where`` names it in messages, or else its number does.

        Raises:
            DataError: It ends or begins with a run of special tokens, or many rows do with a run of one token.
        """
        self._rows += 1
        if len(ids) > 1 and (ids[0] == ids[1] or ids[-1] == ids[-2]):
            self._look_at_runs(ids, where or f"document {self._rows} of {self._source}")
        if self._rows % ROWS_BETWEEN_CHECKS == 0:
            self.finish()

    def _look_at_runs(self, ids: TokenIds, where: str) -> None:
        repeated = set()
        for end in (ids, ids[::-1]):
            token, run = _run(end)
            if run >= SPECIAL_RUN and token in self._special_ids:
                raise DataError(
                    f"Token ids without padding, or with an attention_mask beside them, were expected in {where}; found"
                    f" a run of the special token {token} at an end: add the mask, or cut the padding off."
                )
            if TOKEN_RUN <= run < len(ids):
                repeated.add(token)
        self._ending_in_run.update(repeated)

    def finish(self) -> None:
        """Raise DataError if many of the rows so far begin or end with a run of one token."""
        for token, rows in self._ending_in_run.most_common(1):
            if rows >= max(ROWS_AT_LEAST, SHARE_OF_ROWS * self._rows):
                raise DataError(
                    f"Token ids without padding, or with an attention_mask beside them, were expected in"
                    f" {self._source}; found {rows} of {self._rows} rows with a run of token {token} at an end: add the"
                    " mask, or cut the padding off."
                )


class WindowPadding:
    """Looks at the windows of a stream of tokens, which begin and end anywhere.

    Args:
        source: The training set, in messages.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._windows = 0
        self._in_run: Counter[int] = Counter()

    def add(self, windows: TokenIds) -> None:
        """Look at some windows ``[n, tokens]``.

        Raises:
            DataError: Many of the windows so far begin or end with a run of one token.
        """
        self._windows += len(windows)
        for ends in (windows[:, :TOKEN_RUN], windows[:, : -TOKEN_RUN - 1 : -1]):
            in_run = (ends == ends[:, :1]).all(axis=1)
            self._in_run.update(ends[in_run, 0].tolist())
        for token, count in self._in_run.most_common(1):
            if self._windows >= WINDOWS_AT_LEAST and count >= SHARE_OF_WINDOWS * self._windows:
                raise DataError(
                    f"A stream of tokens without padding was expected in {self._source}; found token {token} in a run"
                    f" at {count} ends of {self._windows} windows: cut the padding off, or give rows with their"
                    " attention_mask."
                )


def _run(ids: TokenIds) -> tuple[int, int]:
    """The first token and how often it stands there in a row."""
    others = np.flatnonzero(ids != ids[0])
    return int(ids[0]), int(others[0]) if len(others) else len(ids)
