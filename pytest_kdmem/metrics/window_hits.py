"""What the hits at every token of a window tell of every prefix length.

Teacher-forced, a token is a hit if the model gives it the greatest logit behind all tokens that stand before it. So if
the tokens from place n on are hits s times in a row, greedy decoding from the first n tokens reproduces the next s. One
pass shows it for every n, where Carlini et al. (2023, "Quantifying Memorization Across Neural Language Models") decode
once for each length. Theirs is a prefix of n tokens that ends at one place; here it is the first n tokens of the
example, so that each length asks for another suffix.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pytest_kdmem.base.arrays import Flags
from pytest_kdmem.errors import SpecError
from pytest_kdmem.metrics.flags import FLAG_COLUMNS, FlagColumn
from pytest_kdmem.metrics.recorder import refused
from pytest_kdmem.scoring.window_columns import unpack_bits
from pytest_kdmem.specs.declared import Extraction

# Lengths of the curve are multiples of this many tokens.
STEP = 25
# Bounds the memory of the bits that are looked at together.
ROWS_AT_ONCE = 1 << 14
# Shortest prefix of an example of which nothing is recited at any.
NEVER = -1

Tokens = npt.NDArray[np.int32]
Value = TypeVar("Value", bound=np.generic)


# By the hits as observed, by those that are sure, and by all that are possible, an array ``[n]`` each.
Readings = Mapping[FlagColumn, npt.NDArray[Value]]


@dataclass(frozen=True, eq=False)
class WindowHits:
    """The hits in the windows of n distinct examples.

    Lengths of prefixes are counted from the first token of an example. Where examples have suffixes at places of their
    own, as answers of conversations, they are counted from the first token of the answer: what stands before it is
    always given.

    Attributes:
        hits: Bits of tokens that are hit ``[n]``, by `window_columns`.
        unsure: Bits of tokens that another kernel, batch size or dtype may hit or miss ``[n]``.
        tokens: Number of tokens of each window ``[n]``.
        suffix_at: Place of the first token of each suffix ``[n]``.
        extraction: Lengths of prefix, suffix and window.
    """

    hits: pa.ChunkedArray
    unsure: pa.ChunkedArray
    tokens: Tokens
    suffix_at: Tokens
    extraction: Extraction

    @property
    def are_answers(self) -> bool:
        """Whether suffixes begin at places of their own."""
        return bool((self.suffix_at != self.extraction.prefix_tokens).any())

    @property
    def own_prefix(self) -> int:
        """Length of the prefix that the memorization rate is of."""
        return 0 if self.are_answers else self.extraction.prefix_tokens

    @property
    def shortest(self) -> int:
        """The shortest prefix of which anything is known: nothing is predicted before the first token."""
        return 0 if self.are_answers else 1

    @cached_property
    def longest(self) -> Tokens:
        """The longest prefix of each example that leaves room for a suffix ``[n]``."""
        return self.tokens - self.extraction.suffix_tokens - self._origins

    @property
    def lengths(self) -> list[int]:
        """Lengths of the curve: multiples of `STEP` and that of the extraction, as far as any example goes."""
        longest = int(self.longest.max(initial=0))
        steps = {*range(0, longest + 1, STEP), self.own_prefix}
        return sorted(length for length in steps if self.shortest <= length <= longest)

    @property
    def _origins(self) -> Tokens:
        """The places from which lengths are counted ``[n]``."""
        return self.suffix_at if self.are_answers else np.zeros_like(self.suffix_at)

    def check(self, prefix_tokens: int, subject: str) -> None:
        """Check that a prefix of this length is one of which something is known.

        Raises:
            SpecError: It is none, or no example is that long.
        """
        longest = int(self.longest.max(initial=-1))
        if isinstance(prefix_tokens, bool) or not isinstance(prefix_tokens, int) or prefix_tokens < self.shortest:
            raise refused(
                SpecError(f"A prefix of at least {self.shortest} tokens was expected; found {prefix_tokens!r}.")
            )
        if prefix_tokens > longest:
            raise refused(
                SpecError(
                    f"A prefix of at most {longest} tokens was expected, because no example of {subject} holds"
                    f" {self.extraction.suffix_tokens} tokens after one of {prefix_tokens}; set a longer"
                    " --kdmem-window-tokens."
                )
            )

    def is_measured(self, prefix_tokens: int) -> Flags:
        """Whether an example holds a suffix behind a prefix of this length ``[n]``."""
        return self.longest >= prefix_tokens

    def recited(self, lengths: Sequence[int]) -> list[Readings[np.bool_]]:
        """For each length of a prefix, whether the tokens behind it are recited ``[n]``; false where too few follow."""

        def at_lengths(bits: Flags, rows: slice) -> Flags:
            ends = self._runs(bits, rows)
            places = self._origins[rows, None] + np.array(lengths, dtype=np.int64)
            # Bit p − 1 is of the token at place p.
            inside = (places >= 1) & (places + self.extraction.suffix_tokens <= self.tokens[rows, None])
            at = np.clip(places - 1, 0, ends.shape[1] - 1)
            return inside & np.take_along_axis(ends, at, axis=1)

        readings = self._read(at_lengths)
        return [{name: flags[:, at] for name, flags in readings.items()} for at in range(len(lengths))]

    @cached_property
    def shortest_prefixes(self) -> Readings[np.int32]:
        """Length of the shortest prefix of each example from which the next tokens are recited, `NEVER` if none."""

        def first(bits: Flags, rows: slice) -> Tokens:
            runs = self._runs(bits, rows)
            lengths = runs.argmax(axis=1) + 1 - self._origins[rows]
            return np.where(runs.any(axis=1), lengths, NEVER).astype(np.int32)

        return self._read(first)

    @cached_property
    def recited_tokens(self) -> Readings[np.int32]:
        """Number of tokens that are hit one after another from the first one of each example's suffix on ``[n]``."""

        def after_prefix(bits: Flags, rows: slice) -> Tokens:
            first = self.suffix_at[rows, None] - 1
            misses = ~bits & (np.arange(bits.shape[1]) >= first)
            ends = np.where(misses.any(axis=1), misses.argmax(axis=1), bits.shape[1])
            run: Tokens = (ends - first[:, 0]).astype(np.int32)
            return run

        return self._read(after_prefix)

    @cached_property
    def longest_runs(self) -> Readings[np.int32]:
        """Number of tokens of the longest run of hits of each example, anywhere in its window or answer ``[n]``."""

        def longest(bits: Flags, rows: slice) -> Tokens:
            bits = self._inside(bits, rows)
            places = np.arange(1, bits.shape[1] + 1, dtype=np.int32)
            last_miss = np.maximum.accumulate(np.where(bits, 0, places), axis=1)
            runs: Tokens = (places - last_miss).max(axis=1, initial=0)
            return runs

        return self._read(longest)

    def _inside(self, bits: Flags, rows: slice) -> Flags:
        """The bits without those of tokens that lengths are not counted from."""
        return bits & (np.arange(bits.shape[1]) >= self._origins[rows, None] - 1)

    def _runs(self, bits: Flags, rows: slice) -> Flags:
        """Whether a run of as many hits as a suffix has tokens begins at each bit ``[rows, bits]``."""
        bits, suffix = self._inside(bits, rows), self.extraction.suffix_tokens
        sums = np.zeros((len(bits), bits.shape[1] + 1), dtype=np.int32)
        np.cumsum(bits, axis=1, out=sums[:, 1:])
        runs = np.zeros_like(bits)
        whole = max(0, bits.shape[1] - suffix + 1)
        runs[:, :whole] = sums[:, suffix : suffix + whole] - sums[:, :whole] == suffix
        return runs

    def _read(self, summarize: Callable[[Flags, slice], npt.NDArray[Value]]) -> Readings[Value]:
        """What a function makes of the bits of some rows ``[rows, bits]``, of all rows by each reading of the hits."""
        parts = [
            [summarize(bits, rows) for bits in (hits, hits & ~unsure, hits | unsure)]
            for rows, hits, unsure in self._in_batches()
        ]
        return dict(zip(FLAG_COLUMNS, map(np.concatenate, zip(*parts, strict=True)), strict=True))

    def _in_batches(self) -> Iterator[tuple[slice, Flags, Flags]]:
        places = max(1, int(self.tokens.max(initial=0)) - 1)
        for start in range(0, max(1, len(self.tokens)), ROWS_AT_ONCE):
            rows = slice(start, start + ROWS_AT_ONCE)
            hits, unsure = (unpack_bits(column[rows], places) for column in (self.hits, self.unsure))
            yield rows, hits, unsure
