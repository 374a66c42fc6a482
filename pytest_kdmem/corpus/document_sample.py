"""Draws documents of a whole source while a run reads it, so that what stands behind its beginning is seen, too."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from pytest_kdmem.corpus.columns import Document
from pytest_kdmem.corpus.reading_source import DOCUMENTS_READ
from pytest_kdmem.corpus.sources import ReadDocuments
from pytest_kdmem.specs.declared import TrainingSet

SIZE = 32
# Characters of a text that are kept, which are many more than are compared.
LONGEST = 1 << 18


@dataclass
class DocumentSample:
    """Some of the documents behind the first of a source, each of which is drawn with the same probability.

    Attributes:
        seed: Seed of the draw.
        first: Number of documents at the beginning that are not drawn from.
        size: Number of documents to draw, all of which are in memory.
    """

    seed: int
    first: int = DOCUMENTS_READ
    size: int = SIZE
    _drawn: list[Document] = field(default_factory=list)
    _is_complete: bool = False

    def watched(self, read: ReadDocuments) -> ReadDocuments:
        """The function that reads a source, which also draws from the documents that pass."""

        def documents(training_set: TrainingSet, *, offline: bool) -> Iterator[Document]:
            return self._watch(read(training_set, offline=offline))

        return documents

    @property
    def drawn(self) -> tuple[Document, ...] | None:
        """The drawn documents; None unless a whole source has been read."""
        return tuple(self._drawn) if self._is_complete else None

    def take(self, documents: Sequence[Document]) -> None:
        """Take the documents that another sample of the same seed drew of the same source."""
        self._drawn, self._is_complete = list(documents), True

    def documents(self, read: Callable[[], Iterator[Document]]) -> list[Document]:
        """The drawn documents; the source is read for them if no run has read all of it."""
        if not self._is_complete:
            for _ in self._watch(read()):
                pass
        return self._drawn

    def _watch(self, documents: Iterator[Document]) -> Iterator[Document]:
        self._drawn, self._is_complete = [], False
        draw = random.Random(self.seed)
        for place, document in enumerate(documents, start=-self.first):
            if 0 <= place < self.size:
                self._drawn.append(_beginning(document))
            elif place >= self.size and (drawn := draw.randrange(place + 1)) < self.size:
                self._drawn[drawn] = _beginning(document)
            yield document
        self._is_complete = True


def _beginning(document: Document) -> Document:
    return document[:LONGEST] if isinstance(document, str) else document
