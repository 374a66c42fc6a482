"""Keeps the samples that this process drew last, so that further models of one tokenizer read no training set again.

All of a training set is read to draw a sample of it, which takes longer than scoring a small sample does.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pytest_kdmem.corpus.columns import Document
from pytest_kdmem.corpus.shards import CorpusRecord, Shard

# A sample and what its strata take beyond it, of a training set and a control set.
MOST_SETS = 4
MOST_TOKENS = 25_000_000  # 100 MB for each of them


@dataclass(frozen=True, eq=False)
class DrawnSet:
    """What was read of a training set to draw a sample of it.

    Attributes:
        record: Counts and digests of the training set.
        shards: The shards of the sample.
        documents: The documents that check how the training set is read; None if they were not drawn of all of it.
    """

    record: CorpusRecord
    shards: tuple[Shard, ...]
    documents: tuple[Document, ...] | None


class DrawnSets:
    """The sets that were drawn last, by all that they depend on."""

    def __init__(self) -> None:
        self._sets: OrderedDict[Any, DrawnSet] = OrderedDict()

    def keep(
        self, key: Any, record: CorpusRecord, shards: Sequence[Shard], documents: Sequence[Document] | None
    ) -> None:
        """Keep a set in place of the one that was drawn longest ago; none that would take much memory is kept."""
        if sum(len(example.ids) for shard in shards for example in shard.examples) > MOST_TOKENS:
            return
        self._sets[key] = DrawnSet(record, tuple(shards), None if documents is None else tuple(documents))
        self._sets.move_to_end(key)
        while len(self._sets) > MOST_SETS:
            self._sets.popitem(last=False)

    def find(self, key: Any) -> DrawnSet | None:
        """The set that was drawn under a key; None if it is not kept, or has other shards than its record."""
        drawn = self._sets.get(key)
        if drawn is None or drawn.record.shards != tuple(shard.digest for shard in drawn.shards):
            return None
        return drawn


DRAWN_SETS = DrawnSets()
