"""Stops a run over a training set that is read otherwise than in training, as the losses of its models show."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pyarrow as pa

from pytest_kdmem.corpus.columns import Document
from pytest_kdmem.corpus.document_sample import DocumentSample
from pytest_kdmem.corpus.shards import Shard
from pytest_kdmem.corpus.sources import ReadDocuments
from pytest_kdmem.scoring.documents_guard import DocumentsGuard, ReadingNotes


class ReadingGuard:
    """Checks how one training set is read by the models of one task: its beginning before more than a shard is scored,
    and what stands behind it when all of it was read.

    Args:
        first: Checks the beginning.

    Attributes:
        first: The same.
    """

    def __init__(self, first: DocumentsGuard) -> None:
        self._sample = DocumentSample(first.training_set.seed)
        self.first = first
        self._rest = replace(first, sample=self._sample, beginning=first)

    def watched(self, read: ReadDocuments) -> ReadDocuments:
        """The function that reads the training set for the run, whose documents are drawn from as they pass."""
        return self._sample.watched(read)

    @property
    def drawn_documents(self) -> tuple[Document, ...] | None:
        """The documents that were drawn as they passed; None unless all of the training set was read."""
        return self._sample.drawn

    def take_drawn(self, documents: Sequence[Document]) -> None:
        """Check the documents that a run of another model drew of the same training set."""
        self._sample.take(documents)

    def with_losses(self, shards: Iterator[Shard]) -> Iterator[Shard]:
        """The shards of a run, and among them the sequences that check the reading, if they are needed.

        The first shard comes first because errors about examples are clearer than errors about these sequences.
        """
        if (first := next(shards, None)) is None:
            return
        yield first
        yield from self.first.shards()
        yield from shards
        yield from self._rest.shards()

    def takes(self, shard: str, rows: pa.Table) -> bool:
        """Store and judge the losses of the sequences; False if the rows are those of another shard.

        Raises:
            SpecError: Another reading is clearly likelier to a model.
        """
        return self.first.takes(shard, rows) or self._rest.takes(shard, rows)

    def check(self) -> None:
        """Judge the losses of every model; those that are not stored are computed.

        Raises:
            SpecError: Another reading is clearly likelier to a model.
            KdmemError: The losses cannot be computed.
        """
        self.first.check(self._rest)

    def notes(self, *, recites: Sequence[bool]) -> tuple[ReadingNotes, ...]:
        """How each model finds the training set.

        Args:
            recites: For each model, whether it recites any example; a beginning of which it recites any is no noise.
        """
        return tuple(
            _joined(self.first.notes(model, recites=recites[model]), self._rest.notes(model, recites=False))
            for model in range(len(recites))
        )


def _joined(first: ReadingNotes, rest: ReadingNotes) -> ReadingNotes:
    return ReadingNotes(tuple(dict.fromkeys((*first.warnings, *rest.warnings))), first.noise or rest.noise)
