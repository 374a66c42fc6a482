"""Documents are drawn from all of a source but its beginning, while it is read, and the same ones each time."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np

from pytest_kdmem.corpus.columns import Document
from pytest_kdmem.corpus.document_sample import DocumentSample
from pytest_kdmem.specs.declared import TrainingSet

SET = TrainingSet("train.jsonl")


def numbered(count: int) -> Iterator[Document]:
    return (str(number) for number in range(count))


def drawn(count: int, *, seed: int = 0) -> list[int]:
    sample = DocumentSample(seed, first=10, size=4)
    read = sample.watched(lambda training_set, *, offline: numbered(count))
    assert list(read(SET, offline=True)) == list(numbered(count))
    return [int(str(document)) for document in sample.documents(lambda: numbered(0))]


def test_none_of_the_first_documents_are_drawn():
    assert drawn(10) == []
    assert drawn(13) == [10, 11, 12]
    assert min(drawn(500)) >= 10


def test_the_same_documents_are_drawn_each_time():
    assert drawn(500) == drawn(500)


def test_every_document_is_drawn_about_as_often():
    places = [number for seed in range(1000) for number in drawn(50, seed=seed)]
    shares, _ = np.histogram(places, bins=4, range=(10, 50))
    assert len(places) == 4000
    assert np.abs(shares - 1000).max() < 140


def test_a_source_that_no_run_has_read_to_its_end_is_read():
    sample = DocumentSample(0, first=10, size=4)
    list(islice(sample.watched(lambda training_set, *, offline: numbered(30))(SET, offline=True), 20))
    assert [str(number) for number in drawn(30)] == sample.documents(lambda: numbered(30))


def test_what_another_sample_drew_is_taken_in_place_of_reading():
    first = DocumentSample(0, first=10, size=4)
    assert first.drawn is None
    watched = first.watched(lambda training_set, *, offline: numbered(30))(SET, offline=True)
    next(watched)
    assert first.drawn is None, "not all of the source has passed"
    list(watched)
    second = DocumentSample(0, first=10, size=4)
    second.take(first.drawn)
    assert second.documents(lambda: numbered(0)) == [str(number) for number in drawn(30)]
