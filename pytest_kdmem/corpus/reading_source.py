"""A training set with all that its reading depends on, of which a few documents are read as declared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from pytest_kdmem.base.arrays import TokenIds
from pytest_kdmem.corpus.blocks import to_blocks
from pytest_kdmem.corpus.columns import Document, TokenRow
from pytest_kdmem.corpus.conversations import ChatRow
from pytest_kdmem.corpus.own_text import share_of_own_text
from pytest_kdmem.corpus.presets import resolve
from pytest_kdmem.corpus.sources import read_documents
from pytest_kdmem.corpus.special_tokens import has_special_tokens
from pytest_kdmem.corpus.tokenizer import Tokenizer
from pytest_kdmem.specs.checkpoint import Checkpoint
from pytest_kdmem.specs.declared import Extraction, TrainingSet

# Documents of the source among which the sample is drawn.
DOCUMENTS_READ = 512
# Tokens at the start that are not compared: a beginning token alone makes these likelier, and recites nothing.
SKIPPED_TOKENS = 16
# Long documents are cut to this many characters per needed token before they are tokenized.
CHARACTERS_PER_TOKEN = 64


@dataclass(frozen=True)
class Source:
    """A training set and everything that its reading depends on.

    Attributes:
        training_set: The training set as declared.
        tokenizer: Tokenizer of the model; None if it has none.
        checkpoint: Files of the model.
        extraction: Lengths of prefix, suffix and window.
        offline: Never open a network connection.
    """

    training_set: TrainingSet
    tokenizer: Tokenizer | None
    checkpoint: Checkpoint
    extraction: Extraction
    offline: bool = False

    @property
    def window(self) -> int:
        """Number of tokens after which a document is cut: those that gates read, or the whole of a block."""
        is_documents = self.training_set.form == "documents"
        return self.extraction.scored_tokens if is_documents else self.extraction.window_tokens

    @property
    def skipped(self) -> int:
        """Number of tokens at the start of a sequence that are not compared."""
        return min(SKIPPED_TOKENS, self.extraction.prefix_tokens)

    @property
    def minimum_tokens(self) -> int:
        """Number of tokens below which documents are left out before they are joined."""
        return resolve(self.training_set)[1].minimum_tokens

    @property
    def has_special_tokens(self) -> bool:
        """Whether texts have the special tokens that the tokenizer adds."""
        if self.tokenizer is None:
            return False
        return has_special_tokens(self.training_set, self.tokenizer.adds, self.tokenizer.had_special_tokens)

    def documents(self) -> list[Document]:
        """The first documents of the source, before any are selected.

        Raises:
            DataError: The source cannot be read.
        """
        return list(islice(read_documents(self.training_set, offline=self.offline), DOCUMENTS_READ))

    def encode(self, documents: Sequence[Document], *, window: int | None = None) -> list[TokenIds]:
        """Token ids of documents as they are read, cut to a window; what reading refuses is not looked for again."""
        window = window or self.window
        texts = [text[: window * CHARACTERS_PER_TOKEN] for text in documents if isinstance(text, str)]
        encoded = iter(self._encode_texts(texts, window))
        rows = [next(encoded) if isinstance(document, str) else ids_of(document) for document in documents]
        return [row[:window] for row in rows]

    def own_text(self, rows: Sequence[TokenIds], documents: Sequence[Document]) -> list[float]:
        """By `share_of_own_text`, whether each row of some documents is what the tokenizer makes of its text; 0 if the
        model has no tokenizer. Empty if the documents are texts.
        """
        if all(isinstance(document, str) for document in documents):
            return []
        return [0.0 if self.tokenizer is None else share_of_own_text(row, self.tokenizer) for row in rows]

    def blocks(self, documents: Sequence[Document]) -> list[TokenIds]:
        """Blocks of documents as they are read."""
        rows = self.encode(documents, window=self.window * DOCUMENTS_READ)
        return list(to_blocks(rows, self.tokenizer, self.training_set, self.window))

    def _encode_texts(self, texts: list[str], needed: int) -> list[TokenIds]:
        if not texts or self.tokenizer is None:
            return []
        encoded = self.tokenizer.encode(texts, add_special_tokens=self.has_special_tokens, needed=needed)
        return [np.asarray(ids, dtype=np.int32) for ids in encoded]

    def edge_ids(self) -> dict[str, int]:
        """The ids of the model's beginning and end tokens, by the names ``bos`` and ``eos``."""
        config = self.checkpoint.config
        inner = config.get("text_config")
        config = {**config, **inner} if isinstance(inner, dict) else config
        ids = {name: config.get(f"{name}_token_id") for name in ("bos", "eos")}
        if self.tokenizer is not None and self.tokenizer.eos_id is not None:
            ids["eos"] = self.tokenizer.eos_id
        return {name: value for name, value in ids.items() if isinstance(value, int)}


def ids_of(document: Document) -> TokenIds:
    """Token ids of a document that is no text."""
    assert not isinstance(document, str | ChatRow)
    return document.ids if isinstance(document, TokenRow) else document
