"""What earlier shards hold is left out of a shard that is scored, and its rows are filled in again."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pyarrow as pa

from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.corpus.shards import Shard, rows_digest
from pytest_kdmem.scoring.copies import CopyFinder
from pytest_kdmem.scoring.table import KL_SCHEMA, SCHEMA
from pytest_kdmem.specs.declared import Extraction


def shard(start: int, *ids: tuple[int, ...]) -> Shard:
    return Shard(tuple(Example(start + at, np.array(row, dtype=np.int32)) for at, row in enumerate(ids)))


def rows(of: Shard, tolerance: str = "0.5") -> tuple[pa.Table, pa.Table]:
    """Rows of a shard in two tables; the margin is the first id."""
    ids = {"example_id": [e.position for e in of.examples], "digest": [e.digest for e in of.examples]}
    values = pa.array([None if len(e.ids) < 3 else float(e.ids[0]) for e in of.examples], pa.float32())
    columns = {name: ids.get(name, pa.nulls(len(of.examples), SCHEMA.field(name).type)) for name in SCHEMA.names}
    scores = pa.table({**columns, "margin": values}, schema=SCHEMA.with_metadata({"tolerance": tolerance}))
    return scores, pa.table({**ids, "kl": values}, schema=KL_SCHEMA)


LENGTHS = Extraction(2, 1, 3)
A, B, C, SHORT = (1, 2, 3), (4, 5, 6), (7, 8, 9), (1, 2)


def test_only_what_no_earlier_shard_holds_is_left_and_its_rows_are_whole_again():
    stored = {}
    finder = CopyFinder(stored, LENGTHS)
    first, second, third = shard(0, A, SHORT, B), shard(3, C, A, C, SHORT), shard(7, B, A, C)
    whole = finder.remainder(first)
    assert whole.own is first
    assert whole.with_copies(rows(first), stored) == rows(first)
    left = finder.remainder(second)  # the first shard's rows are not there yet
    assert [example.position for example in left.own.examples] == [3, 5, 6]
    nothing = finder.remainder(third)
    assert nothing.own.examples == ()
    assert [copied.source for copied in nothing.copied] == [first.digest, second.digest]
    stored[first.digest] = rows(first, tolerance="0.25")
    stored[second.digest] = left.with_copies(rows(left.own), stored)
    filled = nothing.with_copies(rows(nothing.own, tolerance="0.0"), stored)
    for remainder, parts, original in ((left, stored[second.digest], second), (nothing, filled, third)):
        assert parts == rows(original)
        assert rows_digest(parts[0]) == remainder.digest == original.digest
    assert float(stored[second.digest][0].schema.metadata[b"tolerance"]) == 0.5
    assert float(filled[0].schema.metadata[b"tolerance"]) == 0.5, "that of the rows it was copied from"
    assert filled[1].schema.metadata is None


def test_copies_are_found_in_whichever_shard_their_first_lies():
    stored = {}
    finder = CopyFinder(stored, LENGTHS)
    shards = [shard(2 * at, (at, 0, 1), (at, 2, 3)) for at in range(5)]
    for added in shards:
        finder.remainder(added)
        stored[added.digest] = rows(added)
    copies = shard(10, *[(at, 2, 3) for at in range(5)])
    remainder = finder.remainder(copies)
    assert [copied.source for copied in remainder.copied] == [added.digest for added in shards]
    assert remainder.own.examples == ()
    assert remainder.with_copies(rows(remainder.own), stored) == rows(copies)


def test_digests_that_only_begin_alike_are_different_examples():
    examples = [
        SimpleNamespace(position=at, is_scored=lambda _: True, digest="ab" * 8 + end * 16)
        for at, end in enumerate("cdd")
    ]
    finder = CopyFinder({}, LENGTHS)
    own = [finder.remainder(Shard((example,))).own.examples for example in examples]
    assert own == [(example,) for example in examples]


def test_digests_of_rows_that_are_there_are_not_kept_twice():
    stored = {}
    finder = CopyFinder(stored, LENGTHS)
    for at in range(5):
        added = shard(at, (at, at, at))
        finder.remainder(added)
        stored[added.digest] = rows(added)
    assert len(finder._awaited) <= 1
