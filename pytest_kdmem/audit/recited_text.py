"""Ids of examples → their prefix and suffix as text: training text, read only where it was asked for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from pytest_kdmem.audit.schema import ExamplesEntry
from pytest_kdmem.base.arrays import TokenIds
from pytest_kdmem.corpus.examples import Tokenizer, load_tokenizer, stream_examples
from pytest_kdmem.scoring.table import ScoreTable
from pytest_kdmem.specs.declared import Extraction, TrainingSet


def with_text(entry: ExamplesEntry, scores: ScoreTable, *, offline: bool = False) -> ExamplesEntry:
    """The entry with the text of each of its rows, read from the training set that ``scores`` are of.

    Raises:
        DataError: the training set can no longer be read.
    """
    tokenizer = load_tokenizer(scores.checkpoint.folder, trust_remote_code=scores.model.trust_remote_code)
    found = _texts(scores.training_set, entry.example_id, tokenizer, scores.extraction, offline=offline)
    none = ("", "")
    prefixes, suffixes = zip(*(found.get(example_id, none) for example_id in entry.example_id), strict=True)
    return replace(entry, prefix=prefixes, suffix=suffixes)


def _texts(
    training_set: TrainingSet,
    wanted: Iterable[int],
    tokenizer: Tokenizer | None,
    extraction: Extraction,
    *,
    offline: bool,
) -> dict[int, tuple[str, str]]:
    """Prefix and suffix by position; ids, where there is no tokenizer to spell them."""
    missing, prefix = set(wanted), extraction.prefix_tokens
    texts = {}

    def spelled(ids: TokenIds) -> str:
        return tokenizer.decode(ids) if tokenizer is not None else " ".join(map(str, ids.tolist()))

    for example in stream_examples(training_set, tokenizer, extraction, offline=offline):
        if example.position in missing:
            missing.remove(example.position)
            ids = example.ids
            texts[example.position] = spelled(ids[:prefix]), spelled(ids[prefix : extraction.scored_tokens])
        if not missing:
            break
    return texts
