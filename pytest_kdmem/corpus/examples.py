"""Documents → examples: the token-id sequences that training saw."""

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
# A window, or the least length, never needs more text than this per token; longer documents are cut before they are
# tokenised.
CHARACTERS_PER_TOKEN = 64


Item = TypeVar("Item")


def in_batches(items: Iterable[Item], size: int) -> Iterator[tuple[Item, ...]]:
    """Tuples of ``size`` items, the last one shorter (itertools has it from Python 3.12 on)."""
    stream = iter(items)
    while batch := tuple(islice(stream, size)):
        yield batch


class Tokenizer(Protocol):
    """What is needed of a tokenizer: text to ids exactly as training did, and back."""

    eos_id: int | None
    size: int

    def encode(self, texts: list[str], *, add_special_tokens: bool) -> list[list[int]]: ...
    def decode(self, ids: TokenIds) -> str: ...


class Example(NamedTuple):
    """One training sequence; ``position`` is its place in the training set, from 0.

    The training set is what is left once short documents were left out and a preset's part was taken, so a position
    is no line or row number of the source wherever something was left out.
    """

    position: int
    ids: TokenIds

    @property
    def digest(self) -> str:
        """Hex digest (128 bits) of the token ids: equal for exact duplicates."""
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
    """Examples in the order of the source; memory does not grow with its size.

    Args:
        selection: the training set's own, for whoever reads its counts afterwards.
        read: what reads the source.

    Raises:
        DataError: the source cannot be read, is text and there is no tokenizer for it, or has too few long documents.
        SpecError: a preset was asked for what it does not have.
    """
    selection = selection or resolve(training_set)[1]
    documents = read(training_set, offline=offline)
    whole = max(extraction.window_tokens, selection.minimum_tokens)
    # By their full length, not that of the window: an audit of shorter windows has the same examples.
    sequences = selection.of(_encoded(documents, tokenizer, training_set, whole))
    if training_set.form == "blocks":
        sequences = _blocks(sequences, tokenizer, training_set, extraction.window_tokens)
    for position, ids in enumerate(sequences):
        yield Example(position, ids[: extraction.window_tokens])


def _encoded(
    documents: Iterable[Document], tokenizer: Tokenizer | None, training_set: TrainingSet, needed: int
) -> Iterator[TokenIds]:
    """Ids of each document, or of its beginning where ``needed`` tokens and more are in that."""
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
                ids = tokenizer.encode([document], add_special_tokens=special)[0]  # tokens longer than reckoned with
            yield np.asarray(ids, dtype=np.int32)


def _blocks(
    sequences: Iterator[TokenIds], tokenizer: Tokenizer | None, training_set: TrainingSet, window: int
) -> Iterator[TokenIds]:
    if tokenizer is None or tokenizer.eos_id is None:
        raise SpecError(f"Blocks of {training_set.source} are joined by EOS, and the model's tokenizer names none.")
    end = np.array([tokenizer.eos_id], dtype=np.int32)
    pending: list[TokenIds] = []
    held = 0
    for ids in sequences:
        pending += [ids, end]
        held += len(ids) + 1
        if held >= window:
            joined = np.concatenate(pending)
            whole = held - held % window
            yield from joined[:whole].reshape(-1, window)
            pending, held = [joined[whole:]], held - whole
    if held:
        yield np.concatenate(pending)


def load_tokenizer(folder: Path, *, trust_remote_code: bool = False) -> Tokenizer | None:
    """The checkpoint's tokenizer, or None where it has none.

    Raises:
        SpecError: there is one, and it cannot be loaded.
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
        # `verbose` silences the warning about texts longer than the model: only their first window is used.
        out = self._inner(texts, add_special_tokens=add_special_tokens, truncation=False, verbose=False)
        return list(out["input_ids"])

    def decode(self, ids: TokenIds) -> str:
        text = self._inner.decode(ids.tolist(), skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return str(text)
