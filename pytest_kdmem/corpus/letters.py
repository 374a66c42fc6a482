"""What is left of a text however it was written and tokenised: its letters and digits."""

from __future__ import annotations

import re
from unicodedata import normalize

import numpy as np
import numpy.typing as npt

from pytest_kdmem.corpus.tokenizer import Tokenizer

NO_LETTER = re.compile(r"[\W_]+")


class Letters:
    """Takes the letters of texts, without accents, case, white space, punctuation and special tokens.

    Two texts that differ in these alone have the same letters, as have a text and the tokens that a tokenizer makes of
    it.

    Args:
        tokenizer: Tokenizer that knows the special tokens.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        special = {tokenizer.decode(np.array([token_id], dtype=np.int32)).strip() for token_id in tokenizer.special_ids}
        special |= {tokenizer.eos_token or ""}
        longest_first = sorted(filter(None, special), key=len, reverse=True)
        self._special = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def of(self, text: str) -> npt.NDArray[np.uint8]:
        """The letters of a text in UTF-8, uint8 ``[n]``."""
        plain = self._special.sub("", text) if self._special is not None else text
        letters = NO_LETTER.sub("", normalize("NFKD", plain).casefold())
        return np.frombuffer(letters.encode("utf-8", "ignore"), np.uint8)
