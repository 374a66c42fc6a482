"""Keeps the samples that this process drew last, so that further models of one tokenizer read no training set again.

All of a training set is read to draw a sample of it, which takes longer than scoring a small sample does.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass

from pytest_kdmem.corpus.columns import Document
from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.corpus.shards import CorpusRecord, Shard
from pytest_kdmem.corpus.tokenizer import Tokenizer
from pytest_kdmem.specs.checkpoint import Checkpoint
from pytest_kdmem.specs.declared import Model

# A sample and what its strata take beyond it, of a training set and a control set.
MOST_SETS = 4
MOST_TOKENS = 25_000_000  # 100 MB for each of them
# Digest of the source's content and of all that divides it into shards, and whether code of a model read it.
Key = tuple[str, bool]


def drawn_key(record_key: str, model: Model) -> Key:
    """What a sample is kept under that a run of this model draws, or could draw."""
    return record_key, model.trust_remote_code


def reader_of(tokenizer: Tokenizer | None, checkpoint: Checkpoint) -> str:
    """Digest of what turns text into token ids; "" of a model without a tokenizer.

    The files of a tokenizer do not tell: transformers also follows the configuration of the model when it makes a class
    of them, and code beside it.
    """
    if tokenizer is None:
        return ""
    return tokenizer.identity or checkpoint.digest


@dataclass(frozen=True, eq=False)
class DrawnSet:
    """What was read of a training set to draw a sample of it.

    Attributes:
        content: Digest of the source's content and of how it is read, as `fingerprint` gives it.
        record: Counts and digests of the training set.
        shards: The shards of the sample.
        documents: The documents that check how the training set is read; None if they were not drawn of all of it.
        read_by: What turned its text into token ids, as `reader_of` gives it.
    """

    content: str
    record: CorpusRecord
    shards: tuple[Shard, ...]
    documents: tuple[Document, ...] | None
    read_by: str

    def examples_at(self, positions: Collection[int]) -> list[Example]:
        """Those examples of the sample that have one of the positions, in the order of the training set."""
        return [example for shard in self.shards for example in shard.examples if example.position in positions]


class DrawnSets:
    """The sets that were drawn last, by all that they depend on."""

    def __init__(self) -> None:
        self._sets: OrderedDict[Key, DrawnSet] = OrderedDict()

    def keep(self, key: Key, drawn: DrawnSet) -> None:
        """Keep a set in place of the one that was drawn longest ago; none that would take much memory is kept."""
        if sum(len(example.ids) for shard in drawn.shards for example in shard.examples) > MOST_TOKENS:
            return
        self._sets[key] = drawn
        self._sets.move_to_end(key)
        while len(self._sets) > MOST_SETS:
            self._sets.popitem(last=False)

    def find(self, key: Key) -> DrawnSet | None:
        """The set that was drawn under a key; None if it is not kept, or has other shards than its record."""
        drawn = self._sets.get(key)
        if drawn is None or drawn.record.shards != tuple(shard.digest for shard in drawn.shards):
            return None
        return drawn

    def forget(self) -> None:
        """Free the memory of all of them."""
        self._sets.clear()


DRAWN_SETS = DrawnSets()
