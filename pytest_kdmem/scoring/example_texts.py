"""Reads the text of single examples, which is training text, again from the training set that was scored."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import takewhile

from pytest_kdmem.base.arrays import TokenIds
from pytest_kdmem.corpus.examples import Example, stream_examples
from pytest_kdmem.corpus.tokenizer import Tokenizer, open_tokenizer
from pytest_kdmem.scoring.table import ScoreTable


@dataclass(frozen=True)
class ExampleText:
    """An example with what turns its token ids into text.

    Attributes:
        example: The example.
        start, end: Places of the first token of the suffix, and behind its last one.
        tokenizer: Tokenizer of the model; None if it has none.
    """

    example: Example
    start: int
    end: int
    tokenizer: Tokenizer | None

    @property
    def prefix(self) -> str:
        """Text of the prefix, or its token ids without a tokenizer."""
        return self.decode(self.example.ids[: self.start])

    @property
    def suffix(self) -> str:
        """Text of the suffix, or its token ids without a tokenizer."""
        return self.decode(self.example.ids[self.start : self.end])

    def window(self) -> tuple[str, int]:
        """Text of the window, and the place in it of the suffix's first character.

        Where a character is made of tokens of which the suffix has a part, it counts to the suffix.
        """
        text = self.decode(self.example.ids)
        return text, _common_characters(text, self.prefix)

    def tokens_before(self, character: int) -> int:
        """Number of tokens from the suffix's first one to the first that has a part of a character of the window."""
        places = range(self.start, len(self.example.ids))
        return bisect_right(places, character, key=lambda place: len(self.decode(self.example.ids[: place + 1])))

    def decode(self, ids: TokenIds) -> str:
        """Text of token ids, or the ids themselves without a tokenizer."""
        return self.tokenizer.decode(ids) if self.tokenizer is not None else " ".join(map(str, ids.tolist()))


def read_texts(scores: ScoreTable, example_ids: Iterable[int], *, offline: bool = False) -> Iterator[ExampleText]:
    """Yield the examples at some positions, in the order of the source, which is read no further than the last.

    Raises:
        DataError: The training set can no longer be read.
    """
    tokenizer, extraction = open_tokenizer(scores.model, scores.checkpoint, scores.training_set), scores.extraction
    missing = set(example_ids)
    if not missing:
        return
    for example in stream_examples(scores.training_set, tokenizer, extraction, offline=offline):
        if example.position in missing:
            missing.remove(example.position)
            yield ExampleText(example, example.start(extraction), example.end(extraction), tokenizer)
        if not missing:
            return


def _common_characters(first: str, second: str) -> int:
    """Number of first characters that two texts have in common."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False)))
