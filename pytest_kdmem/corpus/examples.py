"""Cuts documents into examples: the sequences of token ids that training used."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

import numpy as np

from pytest_kdmem.base.arrays import TokenIds
from pytest_kdmem.corpus.columns import Document
from pytest_kdmem.corpus.presets import Selection, resolve
from pytest_kdmem.corpus.sources import ReadDocuments, read_documents
from pytest_kdmem.errors import DataError, SpecError
from pytest_kdmem.specs.checkpoint import digest_tokenizer
from pytest_kdmem.specs.declared import Extraction, TrainingSet

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

DOCUMENTS_AT_ONCE = 256
# Long documents are cut to this many characters per needed token before they are tokenised.
CHARACTERS_PER_TOKEN = 64

Item = TypeVar("Item")


def in_batches(items: Iterable[Item], size: int) -> Iterator[tuple[Item, ...]]:
    """Tuples of ``size`` items, the last of which may be shorter (`itertools.batched` needs Python 3.12)."""
    stream = iter(items)
    while batch := tuple(islice(stream, size)):
        yield batch


class Tokenizer(Protocol):
    """Converts text to token ids exactly as training did, and back.

    Attributes:
        eos_id: Token id of end-of-sequence; None if the tokenizer has none.
        size: Number of tokens in the vocabulary, added tokens included.
    """

    eos_id: int | None
    size: int

    def encode(self, texts: list[str], *, add_special_tokens: bool) -> list[list[int]]: ...
    def decode(self, ids: TokenIds) -> str: ...


class Example(NamedTuple):
    """One training sequence.

    Attributes:
        position: Index in the training set, from 0. Documents that are too short, or in another part of a preset, do
            not count, so it can differ from the line or row number in the source.
        ids: Token ids ``[n]``.
    """

    position: int
    ids: TokenIds

    @property
    def digest(self) -> str:
        """Hex digest (128 bits) of the token ids; exact duplicates have the same."""
        return hashlib.sha256(self.ids.astype("<i4").tobytes()).hexdigest()[:32]


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
    needed = max(extraction.window_tokens, selection.minimum_tokens)
    # Documents are selected by their full length, so that audits with shorter windows have the same examples.
    sequences = selection.select(_encoded(documents, tokenizer, training_set, needed))
    if training_set.form == "blocks":
        sequences = _blocks(sequences, tokenizer, training_set, extraction.window_tokens)
    for position, ids in enumerate(sequences):
        yield Example(position, ids[: extraction.window_tokens])


def _encoded(
    documents: Iterable[Document], tokenizer: Tokenizer | None, training_set: TrainingSet, needed: int
) -> Iterator[TokenIds]:
    """Token ids of each document, or of its beginning if that holds at least ``needed`` tokens."""
    special = training_set.add_special_tokens
    longest = needed * CHARACTERS_PER_TOKEN if training_set.form == "documents" else None
    for batch in in_batches(documents, DOCUMENTS_AT_ONCE):
        texts = [document for document in batch if isinstance(document, str)]
        if texts and tokenizer is None:
            raise DataError(
                f"Training set {training_set.source} is text, which needs a tokenizer, and the model's folder holds"
                " none; save the tokenizer beside the weights or give token ids."
            )
        encoded = iter(
            tokenizer.encode([text[:longest] for text in texts], add_special_tokens=special) if tokenizer else []
        )
        for document in batch:
            if not isinstance(document, str):
                yield document
                continue
            ids = next(encoded)
            if tokenizer and longest and len(document) > longest and len(ids) < 2 * needed:
                ids = tokenizer.encode([document], add_special_tokens=special)[0]  # its tokens are unusually long
            yield np.asarray(ids, dtype=np.int32)


def _blocks(
    sequences: Iterator[TokenIds], tokenizer: Tokenizer | None, training_set: TrainingSet, window: int
) -> Iterator[TokenIds]:
    """Windows of documents joined by EOS; the last one may be shorter."""
    if tokenizer is None or tokenizer.eos_id is None:
        raise SpecError(f"Blocks of {training_set.source} are joined by EOS, and the model's tokenizer names none.")
    end = np.array([tokenizer.eos_id], dtype=np.int32)
    pending: list[TokenIds] = []
    tokens = 0
    for ids in sequences:
        pending += [ids, end]
        tokens += len(ids) + 1
        if tokens >= window:
            joined = np.concatenate(pending)
            complete = tokens - tokens % window
            yield from joined[:complete].reshape(-1, window)
            pending, tokens = [joined[complete:]], tokens - complete
    if tokens:
        yield np.concatenate(pending)


def load_tokenizer(folder: Path, *, trust_remote_code: bool = False) -> Tokenizer | None:
    """Load the tokenizer of a model folder; None if the folder has none.

    Raises:
        SpecError: The tokenizer cannot be loaded.
    """
    if digest_tokenizer(folder) == "none":
        return None
    from transformers import AutoTokenizer

    try:
        return _HuggingFaceTokenizer(
            AutoTokenizer.from_pretrained(str(folder), trust_remote_code=trust_remote_code, local_files_only=True)
        )
    except Exception as error:  # tokenizers raise bare Exception
        raise SpecError(f"A tokenizer was expected in {folder} and could not be loaded ({error}).") from error


class _HuggingFaceTokenizer:
    def __init__(self, inner: PreTrainedTokenizerBase) -> None:
        self._inner = inner
        self.eos_id: int | None = inner.eos_token_id
        self.size = len(inner)

    def encode(self, texts: list[str], *, add_special_tokens: bool) -> list[list[int]]:
        if not texts:
            return []
        # Without `verbose=False` it warns of texts longer than the model, of which only the first window is used.
        encoding = self._inner(texts, add_special_tokens=add_special_tokens, truncation=False, verbose=False)
        return list(encoding["input_ids"])

    def decode(self, ids: TokenIds) -> str:
        text = self._inner.decode(ids.tolist(), skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return str(text)
