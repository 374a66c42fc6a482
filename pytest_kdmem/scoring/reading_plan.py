"""The sequences whose losses tell whether a training set is read as training read it, as one shard to score."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np

from pytest_kdmem.base.arrays import TokenIds
from pytest_kdmem.corpus.columns import Document
from pytest_kdmem.corpus.conversations import ChatRow
from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.corpus.other_blocks import pack_otherwise, read_in_blocks
from pytest_kdmem.corpus.other_chat import read_answers_otherwise
from pytest_kdmem.corpus.other_readings import DOCUMENTS_COMPARED, OtherReading, read_otherwise
from pytest_kdmem.corpus.reading_source import Source
from pytest_kdmem.corpus.token_pairs import TokenPair
from pytest_kdmem.scoring.loss_shard import LossShard
from pytest_kdmem.scoring.reading_check import Comparison, ReadingLosses

# Documents that are shuffled, too: noise is far from text, and a few tell.
SHUFFLED = 4
# Documents that are compared of those behind the first, of which only some may be read otherwise than in training.
COMPARED_OF_REST = 12


@dataclass(frozen=True)
class ReadingPlan:
    """What is scored to check a reading, and what is compared.

    Attributes:
        shard: Every distinct sequence, once.
        as_read: Indices in the shard of the sequences as read.
        shuffled: Indices of the same sequences with their tokens in random order.
        readings: The other readings.
        vocabulary: Number of tokens of the smallest model.
        own_text: For each row of token ids, by `share_of_own_text`, whether they are those of its own text; empty if
            the documents are texts.
    """

    shard: LossShard
    as_read: tuple[int, ...]
    shuffled: tuple[int, ...]
    readings: tuple[tuple[str, tuple[int, ...], tuple[int, ...], tuple[TokenPair, ...]], ...]
    vocabulary: int
    own_text: tuple[float, ...]

    def measure(self, rows: Sequence[Sequence[float]]) -> ReadingLosses:
        """Compare the losses of one model, given those of each sequence in the shard."""
        losses = [np.array([np.nan, *values]) for values in rows]
        comparisons = []
        for name, first, second, pairs in self.readings:
            as_read, otherwise = ([losses[index] for index in indices] for indices in (first, second))
            means = [pair.losses(as_read, otherwise) for pair in pairs]
            greatest = [pair.greatest(as_read, otherwise) for pair in pairs]
            comparisons.append(Comparison(name, *_in_columns(means), *_in_columns(greatest)))
        # Nothing predicts the first token, and the loss of a conversation is that of its answer.
        starts = [example.prefix_tokens or 1 for example in self.shard.examples]
        read, shuffled = (
            tuple(float(losses[index][starts[index] :].mean()) for index in indices)
            for indices in (self.as_read, self.shuffled)
        )
        return ReadingLosses(self.vocabulary, read, shuffled, tuple(comparisons), self.own_text)


def plan_reading(
    source: Source, vocabulary: int, documents: Sequence[Document], *, from_start: bool = True
) -> ReadingPlan | None:
    """Read some documents as declared and otherwise.

    Args:
        source: The training set and all that its reading depends on.
        documents: Documents of the source.
        from_start: Whether they are those at the beginning of the source, of which blocks can be made.
        vocabulary: Number of tokens of the smallest model; readings with others are left out.

    Returns:
        the plan, or None if the documents hold other tokens than the model has, or none: scoring reports it.

    Raises:
        DataError: The source cannot be read.
    """
    if not documents:
        return None
    if isinstance(documents[0], ChatRow):
        return _plan_answers(source, vocabulary, documents, DOCUMENTS_COMPARED if from_start else COMPARED_OF_REST)
    if not from_start:
        as_read, readings = read_otherwise(source, documents, compared=COMPARED_OF_REST, from_start=False)
    elif source.training_set.form == "documents":
        as_read, readings = read_otherwise(source, documents)
        readings += read_in_blocks(source, documents)
    else:
        as_read, readings = pack_otherwise(source, documents)
    as_read = tuple(row for row in as_read if len(row) > 1)
    if not as_read or not _fits(as_read, vocabulary):
        return None
    usable = [reading for reading in readings if _fits(reading.otherwise, vocabulary)]
    return _plan(as_read, usable, vocabulary, tuple(source.own_text(as_read, documents)))


def _plan_answers(source: Source, vocabulary: int, documents: Sequence[Document], compared: int) -> ReadingPlan | None:
    """The plan for answers of conversations, each with what stands before it."""
    answers, readings = read_answers_otherwise(source, documents, compared=compared)
    as_read = tuple(answer.ids for answer in answers)
    if not as_read or not _fits(as_read, vocabulary):
        return None
    usable = [reading for reading in readings if _fits(reading.otherwise, vocabulary)]
    return _plan(as_read, usable, vocabulary, (), starts=tuple(answer.start for answer in answers))


def _plan(
    as_read: tuple[TokenIds, ...],
    readings: Iterable[OtherReading],
    vocabulary: int,
    own_text: tuple[float, ...],
    *,
    starts: tuple[int, ...] = (),
) -> ReadingPlan:
    sequences: dict[bytes, int] = {}
    examples: list[Example] = []

    def indices(rows: Sequence[TokenIds], starts: Sequence[int] = ()) -> tuple[int, ...]:
        for row, start in zip_longest(rows, starts):
            if row.tobytes() not in sequences:
                sequences[row.tobytes()] = len(examples)
                examples.append(Example(len(examples), row, start))
        return tuple(sequences[row.tobytes()] for row in rows)

    random = np.random.default_rng(0)
    read = indices(as_read, starts)
    firsts = (*starts, *[0] * (len(as_read) - len(starts)))  # what stands before an answer stays in its order
    shuffled = indices(
        [
            np.concatenate([row[:first], random.permutation(row[first:])])
            for row, first in zip(as_read[:SHUFFLED], firsts, strict=False)
        ],
        starts[:SHUFFLED],
    )
    compared = []
    names: dict[tuple[int, ...], str] = {}
    for reading in readings:
        otherwise = indices(reading.otherwise)
        if names.setdefault(otherwise, reading.name) == reading.name:  # else another name of the same reading
            compared.append((reading.name, indices(reading.as_read), otherwise, reading.pairs))
    return ReadingPlan(LossShard(tuple(examples)), read, shuffled, tuple(compared), vocabulary, own_text)


def _in_columns(values: Sequence[tuple[float, float]]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return tuple(first for first, _ in values), tuple(second for _, second in values)


def _fits(rows: Sequence[TokenIds], vocabulary: int) -> bool:
    return all(not len(row) or (row.min() >= 0 and row.max() < vocabulary) for row in rows)
