"""Whether rows of token ids are those that a tokenizer gives for their own text, as another tokenizer's are not."""

from __future__ import annotations

import numpy as np

from pytest_kdmem.base.arrays import TokenIds
from pytest_kdmem.corpus.tokenizer import Tokenizer

# Share of the runs of its own tokens that a tokenizer gives for their text, at least, unless it loses some of a text.
OWN = 0.95
# Tokens in a row that are looked for together.
RUN = 4
# Tokens at either end of a row that are not looked for, as the text that was cut off there may have changed them.
EDGE = 4


def runs_of(ids: TokenIds) -> set[bytes]:
    """Every run of a few tokens of a sequence; empty for a sequence that is shorter."""
    return {ids[at : at + RUN].tobytes() for at in range(len(ids) - RUN + 1)}


def share_of_own_text(ids: TokenIds, tokenizer: Tokenizer) -> float:
    """Share of the runs of a row of token ids that the tokenizer gives for the text which it makes of the row.

    It is 1 for what this tokenizer made, and for a row too short to tell, if text and token ids turn into each other
    without loss. Token ids of another tokenizer stand for pieces that this one would join or split.
    """
    runs = runs_of(ids[EDGE:-EDGE])
    if not runs:
        return 1.0
    if ids.min() < 0 or ids.max() >= tokenizer.size:
        return 0.0
    candidates = tokenizer.candidates(tokenizer.decode(ids))
    return max(len(runs & runs_of(np.asarray(candidate, dtype=ids.dtype))) for candidate in candidates) / len(runs)
