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

    def add(self, ids: TokenIds, where: str) -> None:
        """Look at the next row.

        Raises:
            DataError: It ends or begins with a run of special tokens, or many rows do with a run of one token.
        """
        self._rows += 1
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
        if self._rows % ROWS_BETWEEN_CHECKS == 0:
            self.finish()

    def finish(self) -> None:
        """Raise DataError if many of the rows so far begin or end with a run of one token."""
        for token, rows in self._ending_in_run.most_common(1):
            if rows >= max(ROWS_AT_LEAST, SHARE_OF_ROWS * self._rows):
                raise DataError(
                    f"Token ids without padding, or with an attention_mask beside them, were expected in"
                    f" {self._source}; found {rows} of {self._rows} rows with a run of token {token} at an end: add the"
                    " mask, or cut the padding off."
                )


def _run(ids: TokenIds) -> tuple[int, int]:
    """The first token and how often it stands there in a row."""
    if not len(ids):
        return -1, 0
    others = np.flatnonzero(ids != ids[0])
    return int(ids[0]), int(others[0]) if len(others) else len(ids)
