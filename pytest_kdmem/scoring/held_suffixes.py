"""Looks in all of a training set for the suffixes of another set's examples, and stores which of them it holds.

A suffix is looked for in two forms, as token ids and as the letters of its text, and counts as held if it is found in
either: another tokenisation, packing, chat template or file format of the same text hides nothing. The training set is
one stream, so that a suffix that two of its documents hold together is held as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import numpy as np

from pytest_kdmem.base.arrays import TokenIds
from pytest_kdmem.base.digests import digest_of
from pytest_kdmem.corpus.chat_source import chat_digests
from pytest_kdmem.corpus.columns import Document, TokenRow
from pytest_kdmem.corpus.conversations import Completion, Conversation
from pytest_kdmem.corpus.examples import DOCUMENTS_AT_ONCE, in_batches, stream_examples
from pytest_kdmem.corpus.letters import Letters
from pytest_kdmem.corpus.presets import resolve
from pytest_kdmem.corpus.readings import ReadingsDiffer
from pytest_kdmem.corpus.run_search import RunSearch
from pytest_kdmem.corpus.sources import read_documents, training_fingerprint
from pytest_kdmem.corpus.text_places import text_of
from pytest_kdmem.corpus.tokenizer import Tokenizer, open_tokenizer
from pytest_kdmem.corpus.turns import TurnEncoder
from pytest_kdmem.errors import DataError
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.scoring.table import ScoreTable
from pytest_kdmem.specs.declared import Extraction, TrainingSet

# Raised when the same sets give others than before.
PROTOCOL = 1
# Texts with fewer letters, in bytes, stand everywhere: whether one was learned from the training set cannot be told.
FEWEST_LETTERS = 8
# No document has as many tokens.
WHOLE = Extraction(1, 1, 1 << 40)


def held_suffixes(
    scores: ScoreTable, training_set: TrainingSet, store: ScoreStore, *, offline: bool = False
) -> frozenset[str]:
    """Return the digests of the scored examples whose suffix stands anywhere in a training set.

    An example whose suffix has next to no letters is among them, as its absence cannot be told.

    Args:
        scores: Scores over the other set.
        training_set: The training set; all of it is read, whatever sample of it is declared.
        store: Where the outcome is read and stored.
        offline: Whether the sets must be read without a connection.

    Raises:
        DataError: A set cannot be read, or was changed since it was scored or while it was read.
        SpecError: Rows of the training set cannot be read as declared.
        StoreError: The store cannot be written.
    """
    content = training_fingerprint(training_set)
    chat = chat_digests(training_set, scores.checkpoint)
    key = digest_of(
        [
            *["held suffixes", PROTOCOL, content, chat, training_set.order, training_set.chat_roles],
            *[scores.record.digest, scores.checkpoint.text_digest, scores.extraction.digest],
        ]
    )
    stored = (store.read_entry("overlaps", key) or {}).get("digests") if content is not None else None
    if isinstance(stored, list) and all(isinstance(digest, str) for digest in stored):
        return frozenset(stored)
    tokenizer = open_tokenizer(scores.model, scores.checkpoint, training_set)
    search = _SuffixSearch(_suffixes(scores, offline=offline), tokenizer)
    for documents in in_batches(_documents(training_set, tokenizer, offline=offline), DOCUMENTS_AT_ONCE):
        search.add(documents, training_set)
    held = search.held()
    if training_fingerprint(training_set) != content:
        raise DataError(
            f"Training set {training_set.source} was expected to stay as it is while suffixes are looked for in it, and"
            " it was changed; audit it again."
        )
    if content is not None:
        store.write_entry("overlaps", key, {"digests": sorted(held)})
    return held


def _suffixes(scores: ScoreTable, *, offline: bool) -> dict[str, TokenIds]:
    """The token ids of each scored example's suffix, by its digest."""
    rows = scores.rows
    scored = zip(rows["digest"].to_pylist(), rows["status"].to_pylist(), strict=True)
    missing = {digest for digest, status in scored if status == "scored"}
    tokenizer = open_tokenizer(scores.model, scores.checkpoint, scores.training_set)
    extraction, suffixes = scores.extraction, {}
    for example in stream_examples(scores.training_set, tokenizer, extraction, offline=offline):
        if example.digest in missing:
            missing.remove(example.digest)
            suffixes[example.digest] = example.ids[example.start(extraction) : example.end(extraction)].copy()
    if missing:
        raise DataError(
            f"The examples of {scores.training_set.source} that were scored were expected, and {len(missing)} of"
            f" {len(missing) + len(suffixes)} are no longer there: the set was changed; audit it again."
        )
    return suffixes


def _documents(training_set: TrainingSet, tokenizer: Tokenizer | None, *, offline: bool) -> Iterator[Document]:
    """All documents of a training set; of a preset those of its part, as token ids."""
    whole = replace(training_set, sample=None, seed=0)
    selection = resolve(whole)[1]
    if selection.take is None and not selection.skip:
        return read_documents(whole, offline=offline)
    alone = replace(whole, form="documents", eos=None)
    return (example.ids for example in stream_examples(alone, tokenizer, WHOLE, offline=offline))


class _SuffixSearch:
    """Looks for suffixes in documents, as token ids and as letters.

    Args:
        suffixes: Token ids of each suffix, by the digest of its example.
        tokenizer: Tokenizer of the model as it reads the training set; None if it has none.
    """

    def __init__(self, suffixes: Mapping[str, TokenIds], tokenizer: Tokenizer | None) -> None:
        self._digests = list(suffixes)
        self._ids = RunSearch(list(suffixes.values()))
        self._tokenizer = tokenizer
        self._letters = Letters(tokenizer) if tokenizer is not None else None
        self._encoder: TurnEncoder | None = None
        texts = [self._letters.of(self._decode(ids)) for ids in suffixes.values()] if self._letters else []
        self._has_text = np.array([len(text) >= FEWEST_LETTERS for text in texts], dtype=bool)
        self._texts = RunSearch([text for text in texts if len(text) >= FEWEST_LETTERS])

    def add(self, documents: Iterable[Document], training_set: TrainingSet) -> None:
        """Look in the next documents."""
        texts: list[str] = []
        for document in documents:
            if isinstance(document, str):
                texts.append(document)
            elif isinstance(document, Completion):
                texts.append(document.prompt + document.completion)
            elif isinstance(document, Conversation):
                self._add_conversation(document, training_set)
            elif isinstance(document, TokenRow):
                self._add_ids(document.ids)
                self._add_text(document.text or "")
            else:
                self._add_ids(document)
        for text, readings in zip(texts, self._encoded(texts, training_set), strict=True):
            self._add_text(text)
            for ids in readings:
                self._ids.add(np.asarray(ids, dtype=np.int32))

    def held(self) -> frozenset[str]:
        """Digests of the examples whose suffix was found, or has too few letters to be looked for."""
        is_held = self._ids.found().copy()
        if self._letters is not None:
            is_held |= ~self._has_text
            is_held[self._has_text] |= self._texts.found()
        return frozenset(digest for digest, held in zip(self._digests, is_held, strict=True) if held)

    def _add_conversation(self, row: Conversation, training_set: TrainingSet) -> None:
        """Look in a conversation as it is rendered, and in its messages alone, of which templates leave out parts."""
        self._encoder = self._encoder or TurnEncoder(training_set, self._tokenizer, WHOLE)
        rendered = self._encoder.encode(row)
        self._ids.add(rendered.ids)
        self._add_text(rendered.text)
        for message in row.messages:
            self._add_text(text_of(message))

    def _add_ids(self, ids: TokenIds) -> None:
        self._ids.add(ids)
        if self._letters is not None:
            self._add_text(self._decode(ids))

    def _add_text(self, text: str) -> None:
        if self._letters is not None:
            self._texts.add(self._letters.of(text))

    def _decode(self, ids: TokenIds) -> str:
        assert self._tokenizer is not None
        return self._tokenizer.decode(ids)

    def _encoded(self, texts: list[str], training_set: TrainingSet) -> list[list[list[int]]]:
        """Token ids of each text, in each reading of the tokenizer where these differ."""
        if not texts:
            return []
        tokenizer = self._tokenizer
        if tokenizer is None:
            raise DataError(
                f"Token ids were expected in {training_set.source}, as the model has no tokenizer; found text."
            )
        try:
            return [[ids] for ids in tokenizer.encode(texts, add_special_tokens=False)]
        except ReadingsDiffer:
            return [tokenizer.candidates(text) for text in texts]
