"""Cuts documents into examples: the sequences of token ids that training used."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, islice
from typing import TypeVar

import numpy as np

from pytest_kdmem.base.arrays import TokenIds
from pytest_kdmem.corpus.blocks import to_blocks
from pytest_kdmem.corpus.columns import Document, TokenRow
from pytest_kdmem.corpus.conversations import ChatRow
from pytest_kdmem.corpus.padding import PaddingCheck, WindowPadding
from pytest_kdmem.corpus.presets import Selection, resolve
from pytest_kdmem.corpus.readings import ReadingsDiffer
from pytest_kdmem.corpus.row_checks import check_is_of_text, check_learned
from pytest_kdmem.corpus.sources import ReadDocuments, read_documents
from pytest_kdmem.corpus.special_tokens import check_promises, has_special_tokens
from pytest_kdmem.corpus.token_files import is_stream, is_token_file
from pytest_kdmem.corpus.tokenizer import Tokenizer
from pytest_kdmem.corpus.turns import Turn, TurnEncoder, check_no_chat, of_one_kind
from pytest_kdmem.errors import DataError, SpecError
from pytest_kdmem.specs.declared import Extraction, TrainingSet

DOCUMENTS_AT_ONCE = 256
# Rows of token files are not tokenized, and a few of them stay in the processor's cache.
ROWS_AT_ONCE = 16
# Long documents are cut to this many characters per needed token before they are tokenised.
CHARACTERS_PER_TOKEN = 64

Item = TypeVar("Item")


def in_batches(items: Iterable[Item], size: int) -> Iterator[tuple[Item, ...]]:
    """Tuples of ``size`` items, the last of which may be shorter (`itertools.batched` needs Python 3.12)."""
    stream = iter(items)
    while batch := tuple(islice(stream, size)):
        yield batch


@dataclass(frozen=True, eq=False)
class Example:
    """One training sequence.

    Attributes:
        position: Index in the training set, from 0. Documents that are too short, or in another part of a preset, do
            not count, so it can differ from the line or row number in the source.
        ids: Token ids ``[n]``.
        prefix_tokens: Number of tokens before the suffix; None is that of the extraction.
        row: Index of the row in the source that holds several examples; None if each row is one.
        is_cut: Whether the window does not hold all that stands before an answer.
        unaudited: Number of turns of its row that are no examples, as in `Turn`.
    """

    position: int
    ids: TokenIds
    prefix_tokens: int | None = None
    row: int | None = None
    is_cut: bool = False
    unaudited: int = 0

    def start(self, extraction: Extraction) -> int:
        """Place of the first token of the suffix."""
        return extraction.prefix_tokens if self.prefix_tokens is None else self.prefix_tokens

    def end(self, extraction: Extraction) -> int:
        """Place behind the suffix."""
        return self.start(extraction) + extraction.suffix_tokens

    def is_scored(self, extraction: Extraction) -> bool:
        """Whether it holds prefix and suffix."""
        return len(self.ids) >= self.end(extraction)

    @property
    def content(self) -> bytes:
        """Token ids as bytes, with the place of the suffix where the example has its own."""
        ids = self.ids.astype("<i4").tobytes()
        return ids if self.prefix_tokens is None else ids + f"suffix at {self.prefix_tokens}".encode()

    @property
    def learned(self) -> TokenIds:
        """The token ids whose loss training took: the answer of a conversation, else all."""
        return self.ids[self.prefix_tokens or 0 :]

    @cached_property
    def digest(self) -> str:
        """Hex digest (128 bits) of the content; exact duplicates have the same."""
        return hashlib.sha256(self.content).hexdigest()[:32]


def stream_examples(
    training_set: TrainingSet,
    tokenizer: Tokenizer | None,
    extraction: Extraction,
    *,
    offline: bool = False,
    selection: Selection | None = None,
    read: ReadDocuments = read_documents,
) -> Iterator[Example]:
    """Examples in the order of the source, in memory that does not grow with its size.

    Args:
        training_set: The training set to read.
        tokenizer: Tokenizer of the models; None if they have none.
        extraction: Lengths; an example is cut to the window.
        offline: Never open a network connection.
        selection: The training set's own selection, for a caller that reads its counts afterwards.
        read: Function that reads the documents.

    Raises:
        DataError: The source cannot be read, holds text although there is no tokenizer, or has too few long documents.
        SpecError: A preset has no such part.
    """
    selection = selection or resolve(training_set)[1]
    documents = read(training_set, offline=offline)
    sequences: Iterator[TokenIds | Turn]
    padding = None
    if is_stream(training_set):  # whose parts are no rows, and none of which is left out
        sequences = (part for part in documents if isinstance(part, np.ndarray))
        padding = WindowPadding(training_set.source)
    else:
        encoder = _Encoder(training_set, tokenizer, extraction, selection.minimum_tokens)
        # Documents are selected by their full length, so that audits with shorter windows have the same examples.
        sequences = selection.select(encoder.sequences(documents))
    if training_set.form == "blocks":
        documents_alone = (ids for ids in sequences if not isinstance(ids, Turn))  # the encoder refuses turns
        sequences = to_blocks(documents_alone, tokenizer, training_set, extraction.window_tokens, padding)
    for position, sequence in enumerate(sequences):
        if isinstance(sequence, Turn):
            cut = sequence.is_cut, sequence.unaudited
            yield Example(position, sequence.ids, sequence.prefix_tokens, sequence.row, *cut)
        else:
            yield Example(position, sequence[: extraction.window_tokens])


class _Encoder:
    """Turns documents into the token ids that training had.

    Args:
        training_set: The training set that the documents are of.
        tokenizer: Tokenizer of the models; None if they have none.
        extraction: Lengths.
        minimum_tokens: The number of tokens by which documents are selected.
    """

    def __init__(
        self, training_set: TrainingSet, tokenizer: Tokenizer | None, extraction: Extraction, minimum_tokens: int
    ) -> None:
        self._training_set = training_set
        self._tokenizer = tokenizer
        self._extraction = extraction
        self._needed = max(extraction.window_tokens, minimum_tokens)
        # Rows of .bin files are not padded, and those that were cut out of a stream may end in empty documents.
        knows_special = tokenizer is not None and not is_token_file(training_set)
        special_ids = tokenizer.special_ids if tokenizer is not None and knows_special else frozenset[int]()
        self._padding = PaddingCheck(special_ids, training_set.source)
        self._at_once = ROWS_AT_ONCE if is_token_file(training_set) else DOCUMENTS_AT_ONCE

    def sequences(self, documents: Iterable[Document]) -> Iterator[TokenIds | Turn]:
        """The answers of conversations, or the token ids of each document as `_token_ids` gives them.

        Raises:
            DataError: Conversations and other documents are in one set; or as `_token_ids` and `TurnEncoder`.
            SpecError: As `_token_ids` and `TurnEncoder`, or conversations alone have what is declared.
        """
        stream = iter(documents)
        if (first := next(stream, None)) is None:
            return
        others = of_one_kind(chain([first], stream), self._training_set.source)
        if not isinstance(first, ChatRow):
            check_no_chat(self._training_set)
            yield from self._token_ids(others)
            return
        encoder = TurnEncoder(self._training_set, self._tokenizer, self._extraction)
        for number, row in enumerate(others):
            if isinstance(row, ChatRow):
                yield from encoder.turns(row, number)

    def _token_ids(self, documents: Iterable[Document]) -> Iterator[TokenIds]:
        """Token ids of each document, or of its beginning if that holds at least as many as are needed.

        Raises:
            DataError: There is text and no tokenizer, or token ids are padded, not learned, or not of their text.
            SpecError: Readings of the tokenizer differ on a text, or it adds special tokens that are not declared.
        """
        number = 0
        for batch in in_batches(documents, self._at_once):
            texts = [document for document in batch if isinstance(document, str)]
            encoded: Iterator[list[int]] = iter(())
            if texts:
                numbers = [number + at for at, document in enumerate(batch, start=1) if isinstance(document, str)]
                encoded = iter(self._encode(texts, numbers))
            for document in batch:
                if isinstance(document, str):
                    yield np.asarray(next(encoded), dtype=np.int32)
                elif isinstance(document, TokenRow):
                    yield self._checked(document)
                elif isinstance(document, np.ndarray):
                    self._padding.add(document)
                    yield document
            number += len(batch)
        self._padding.finish()

    def _encode(self, texts: list[str], numbers: list[int]) -> list[list[int]]:
        """Token ids of texts, which are documents of these numbers."""
        tokenizer, source = self._tokenizer, self._training_set.source
        if tokenizer is None:
            raise DataError(
                f"Training set {source} is text, which needs a tokenizer, and there is none; save the tokenizer beside"
                " the weights, give it to the trainer (processing_class=…), or give token ids."
            )
        check_promises(self._training_set, tokenizer.promises)
        special = has_special_tokens(self._training_set, tokenizer.adds, tokenizer.had_special_tokens)
        needed = self._needed if self._training_set.form == "documents" else None
        longest = needed and needed * CHARACTERS_PER_TOKEN

        def encode(chosen: list[str], chosen_numbers: list[int]) -> list[list[int]]:
            try:
                return tokenizer.encode(chosen, add_special_tokens=special, needed=needed)
            except ReadingsDiffer as error:
                raise SpecError(
                    f"One reading of the tokenizer was expected, and document {chosen_numbers[error.index]} of {source}"
                    f' becomes {error.difference}; declare the one that training used, tokenizer="file" or "auto"'
                    " (--kdmem-tokenizer)."
                ) from None

        encoded = encode([text[:longest] for text in texts], numbers)
        for index, text in enumerate(texts):
            if needed and longest and len(text) > longest and len(encoded[index]) < 2 * needed:
                [encoded[index]] = encode([text], [numbers[index]])  # its tokens are unusually long
        return encoded

    def _checked(self, row: TokenRow) -> TokenIds:
        """The token ids of a row, if they can be what training had."""
        self._padding.add(row.ids, row.where)
        check_learned(row, self._training_set.form, self._extraction)
        if row.text is not None and self._tokenizer is not None:
            check_is_of_text(row, self._tokenizer)
        return row.ids
