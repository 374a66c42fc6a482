"""Reads the text of single examples, which is training text, for an audit that shows it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from pytest_kdmem.auditing.schema_examples import ExamplesEntry
from pytest_kdmem.base.arrays import TokenIds
from pytest_kdmem.corpus.examples import stream_examples
from pytest_kdmem.corpus.tokenizer import Tokenizer, open_tokenizer
from pytest_kdmem.scoring.table import ScoreTable


def with_text(entry: ExamplesEntry, scores: ScoreTable, *, offline: bool = False) -> ExamplesEntry:
    """Add the text of each example, read again from the training set that was scored.

    Raises:
        DataError: The training set can no longer be read.
    """
    texts = _read_texts(scores, entry.example_id, offline=offline)
    prefixes, suffixes = zip(*(texts.get(example_id, ("", "")) for example_id in entry.example_id), strict=True)
    return replace(entry, prefix=prefixes, suffix=suffixes)


def _read_texts(scores: ScoreTable, example_ids: Iterable[int], *, offline: bool) -> dict[int, tuple[str, str]]:
    """Prefix and suffix of examples by id: their text, or their token ids if the model has no tokenizer."""
    tokenizer = open_tokenizer(scores.model, scores.checkpoint, scores.training_set)
    extraction, missing = scores.extraction, set(example_ids)
    texts = {}
    for example in stream_examples(scores.training_set, tokenizer, extraction, offline=offline):
        if example.position in missing:
            missing.remove(example.position)
            start, end = example.start(extraction), example.end(extraction)
            prefix, suffix = example.ids[:start], example.ids[start:end]
            texts[example.position] = _decode(prefix, tokenizer), _decode(suffix, tokenizer)
        if not missing:
            break
    return texts


def _decode(ids: TokenIds, tokenizer: Tokenizer | None) -> str:
    return tokenizer.decode(ids) if tokenizer is not None else " ".join(map(str, ids.tolist()))
