"""Examples → shards: the unit of scoring, storing and resuming, each known by the digest of what it holds."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pytest_kdmem.base.digests import digest_of
from pytest_kdmem.base.typed_json import from_json, to_json
from pytest_kdmem.corpus.examples import Example, Tokenizer, in_batches, stream_examples
from pytest_kdmem.corpus.presets import resolve
from pytest_kdmem.corpus.sources import ReadDocuments, read_documents
from pytest_kdmem.errors import DataError
from pytest_kdmem.specs.declared import Extraction, TrainingSet
from pytest_kdmem.specs.runtime import EXAMPLES_PER_SHARD


@dataclass(frozen=True)
class Shard:
    """Consecutive examples that are scored and stored together."""

    examples: tuple[Example, ...]

    @property
    def digest(self) -> str:
        """Digest of positions and ids: the same rows give the same shard in whatever file they lie."""
        return digest_of([(example.position, example.digest) for example in self.examples])


def rows_digest(rows: pa.Table) -> str:
    """Digest of the shard that scored rows are of, told from their columns ``example_id`` and ``digest``."""
    return digest_of(list(zip(rows["example_id"].to_pylist(), rows["digest"].to_pylist(), strict=True)))


@dataclass(frozen=True)
class CorpusRecord:
    """What is remembered of a training set once it was streamed; it holds no text and no ids.

    ``examples`` and ``too_short`` count rows of the training set, ``exhaustive`` tells that every example is in the
    shards, and ``digest`` stands for the token ids audited. ``left_out`` counts documents that are no part of the
    training set, as they have fewer tokens than its ``minimum_tokens``.
    """

    examples: int
    too_short: int
    exhaustive: bool
    shards: tuple[str, ...]
    left_out: int = 0

    @property
    def digest(self) -> str:
        return digest_of(list(self.shards))

    def to_json(self) -> dict[str, Any]:
        content: dict[str, Any] = to_json(self)
        return content

    @staticmethod
    def from_json(content: Any) -> CorpusRecord:
        """Read what `to_json` gave; TypeError or ValueError if it is something else."""
        return from_json(CorpusRecord, content, complete=True)


class CorpusReader:
    """Streams the shards of a training set; ``record`` is complete once the stream has ended."""

    def __init__(
        self,
        training_set: TrainingSet,
        tokenizer: Tokenizer | None,
        extraction: Extraction,
        *,
        offline: bool = False,
        read: ReadDocuments = read_documents,
        examples_per_shard: int = EXAMPLES_PER_SHARD,
    ) -> None:
        self._training_set = training_set
        self._extraction = extraction
        self._examples_per_shard = examples_per_shard
        _, self._selection = resolve(training_set)
        self._stream = stream_examples(
            training_set, tokenizer, extraction, offline=offline, selection=self._selection, read=read
        )
        self._examples = self._too_short = 0
        self._exhaustive = True
        self._shards: list[str] = []

    def __iter__(self) -> Iterator[Shard]:
        """Shards in order.

        Raises:
            DataError: there is no example at all, or none long enough to be scored.
        """
        drawn: Iterable[Example] = self._counted()
        if self._training_set.sample is not None:
            drawn = self._drawn(drawn, self._training_set.sample)
        for examples in in_batches(drawn, self._examples_per_shard):
            shard = Shard(examples)
            self._shards.append(shard.digest)
            yield shard
        source = self._training_set.source
        if not self._examples:
            raise DataError(f"Training set {source} was expected to hold examples, and it is empty.")
        if self._examples == self._too_short:
            needed = self._extraction.scored_tokens
            raise DataError(
                f"Examples of at least {needed} tokens (prefix + suffix) were expected in {source}, and all"
                f" {self._examples} are shorter; set shorter --kdmem-prefix-tokens and --kdmem-suffix-tokens."
            )

    @property
    def record(self) -> CorpusRecord:
        return CorpusRecord(
            self._examples, self._too_short, self._exhaustive, tuple(self._shards), self._selection.left_out
        )

    def _counted(self) -> Iterator[Example]:
        for example in self._stream:
            self._examples += 1
            self._too_short += len(example.ids) < self._extraction.scored_tokens
            yield example

    def _drawn(self, examples: Iterable[Example], size: int) -> list[Example]:
        """``size`` distinct examples, each equally likely, in one pass and in memory for ``size`` of them.

        Those of least keyed hash are kept: duplicates hash alike, so they fall together and weigh once.
        """
        key = self._training_set.seed.to_bytes(16, "little")
        kept: dict[bytes, Example] = {}
        heap: list[tuple[int, bytes]] = []  # greatest hash on top, as its negative
        for example in examples:
            if len(example.ids) < self._extraction.scored_tokens:
                continue
            hashed = hashlib.blake2b(example.ids.astype("<i4").tobytes(), digest_size=16, key=key).digest()
            if hashed in kept:
                continue
            rank = -int.from_bytes(hashed, "big")
            if len(heap) < size:
                heapq.heappush(heap, (rank, hashed))
                kept[hashed] = example
                continue
            self._exhaustive = False
            if rank > heap[0][0]:
                _, dropped = heapq.heapreplace(heap, (rank, hashed))
                del kept[dropped]
                kept[hashed] = example
        return sorted(kept.values(), key=lambda example: example.position)
