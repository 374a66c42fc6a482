"""Scores each distinct example of a run once: later shards take the rows of examples that earlier shards hold.

A shard that is scored lacks these examples, and a shard that is stored has all of its rows again. Which examples it
lacks follows from the shards before it alone, stored or not, so the same rows are scored by any number of workers, and
by a run that goes on where another was killed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pytest_kdmem.corpus.shards import Shard
from pytest_kdmem.scoring.first_places import FirstPlaces, Places, digest_prefixes
from pytest_kdmem.scoring.table import TOLERANCE_KEY, tolerance_of
from pytest_kdmem.specs.declared import Extraction

# A shard's rows in each of the tables that a task fills.
Parts = tuple[pa.Table, ...]
Indices = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class CopiedRows:
    """The rows of a shard that are copies of rows of one earlier shard.

    Attributes:
        source: Digest of the earlier shard.
        source_rows: Their rows in the earlier shard.
        rows: Their rows in the shard.
    """

    source: str
    source_rows: Indices
    rows: Indices


@dataclass(frozen=True, eq=False)
class Remainder:
    """What is left of a shard without the examples that earlier shards hold.

    Attributes:
        digest: Digest of the whole shard.
        positions: Position of each of its examples.
        own: The examples that no earlier shard holds, and those that are too short to be scored.
        own_rows: Their rows in the shard.
        copied: The other rows.
    """

    digest: str
    positions: tuple[int, ...]
    own: Shard
    own_rows: Indices
    copied: tuple[CopiedRows, ...]

    def with_copies(self, own: Parts, stored: Mapping[str, Parts]) -> Parts:
        """The rows of the whole shard in each table.

        Args:
            own: The rows of the remainder.
            stored: By digest, the rows of at least the shards of which some are copied.
        """
        if not self.copied:
            return own
        return tuple(
            self._filled(part, [stored[copied.source][index] for copied in self.copied])
            for index, part in enumerate(own)
        )

    def _filled(self, own: pa.Table, sources: Sequence[pa.Table]) -> pa.Table:
        copies = [
            source.take(pa.array(copied.source_rows)) for copied, source in zip(self.copied, sources, strict=True)
        ]
        order = np.argsort(np.concatenate([self.own_rows, *(copied.rows for copied in self.copied)]))
        rows = pa.concat_tables([table.replace_schema_metadata(None) for table in (own, *copies)])
        rows = rows.combine_chunks().take(pa.array(order)).combine_chunks()
        at = rows.schema.get_field_index("example_id")
        rows = rows.set_column(at, rows.schema.field(at), pa.array(self.positions, rows.schema.field(at).type))
        metadata = dict(own.schema.metadata or {})
        if TOLERANCE_KEY in metadata:
            # Each row was judged within the tolerance of its own shard, and that of a table covers all of its rows.
            metadata[TOLERANCE_KEY] = repr(tolerance_of((own, *sources))).encode()
        return rows.replace_schema_metadata(metadata or None)


class CopyFinder:
    """Finds in each shard of a run the examples that earlier shards hold.

    Args:
        stored: The rows of shards by their digests, which grow while the run goes on.
        extraction: Lengths, by which an example is long enough to be scored.
    """

    def __init__(self, stored: Mapping[str, Parts], extraction: Extraction) -> None:
        self._stored = stored
        self._extraction = extraction
        self._first = FirstPlaces()
        self._shards: list[str] = []
        self._starts: list[int] = []  # the place of each shard's first row
        self._next_start = 0
        # Digests of the rows of shards that had none when they were added.
        self._awaited: dict[str, list[str]] = {}

    def remainder(self, shard: Shard) -> Remainder:
        """Add the next shard, and find what of it no earlier shard holds."""
        digests = [example.digest for example in shard.examples]
        prefixes = digest_prefixes(digests)
        long_enough = np.array([example.is_scored(self._extraction) for example in shard.examples], dtype=bool)
        places = np.where(long_enough, self._first.find(prefixes), -1)
        # The first of the examples that are new; another digest may begin with the same bits as one added before.
        new_rows = np.flatnonzero(long_enough & (places < 0))
        _, first_of_equal = np.unique(prefixes[new_rows], return_index=True)
        copied = self._copied(digests, places)
        added = new_rows[first_of_equal]
        self._first.add(prefixes[added], self._next_start + added)
        self._append(shard.digest, digests)
        is_own = np.ones(len(digests), dtype=bool)
        for copies in copied:
            is_own[copies.rows] = False
        own_rows = np.flatnonzero(is_own)
        return Remainder(
            digest=shard.digest,
            positions=tuple(example.position for example in shard.examples),
            own=Shard(tuple(shard.examples[row] for row in own_rows)) if copied else shard,
            own_rows=own_rows,
            copied=copied,
        )

    def _copied(self, digests: Sequence[str], places: Places) -> tuple[CopiedRows, ...]:
        """The rows of a shard whose places hold the same digests, by the shards of these places."""
        rows = np.flatnonzero(places >= 0)
        numbers = np.searchsorted(self._starts, places[rows], side="right") - 1
        copied = []
        for number in np.unique(numbers):
            source = self._shards[number]
            candidates = rows[numbers == number]
            source_rows = places[candidates] - self._starts[number]
            held = self._digests_at(source, source_rows)
            equal = np.array([digests[row] == digest for row, digest in zip(candidates, held, strict=True)], dtype=bool)
            if equal.any():
                copied.append(CopiedRows(source, source_rows[equal], candidates[equal]))
        return tuple(copied)

    def _digests_at(self, shard: str, rows: Indices) -> list[str]:
        if shard in self._stored:
            digests: list[str] = self._stored[shard][0]["digest"].take(pa.array(rows)).to_pylist()
            return digests
        return [self._awaited[shard][row] for row in rows]

    def _append(self, shard: str, digests: list[str]) -> None:
        self._shards.append(shard)
        self._starts.append(self._next_start)
        self._next_start += len(digests)
        awaited = {**self._awaited, shard: digests}
        self._awaited = {digest: held for digest, held in awaited.items() if digest not in self._stored}
