"""Adds the text of single examples, which is training text, to the record of an audit that shows it."""

from __future__ import annotations

from dataclasses import replace

from pytest_kdmem.auditing.schema_examples import ExamplesEntry
from pytest_kdmem.scoring.example_texts import read_texts
from pytest_kdmem.scoring.table import ScoreTable


def with_text(entry: ExamplesEntry, scores: ScoreTable, *, offline: bool = False) -> ExamplesEntry:
    """Add the text of each example, read again from the training set that was scored.

    Raises:
        DataError: The training set can no longer be read.
    """
    texts = {
        text.example.position: (text.prefix, text.suffix)
        for text in read_texts(scores, entry.example_id, offline=offline)
    }
    prefixes, suffixes = zip(*(texts.get(example_id, ("", "")) for example_id in entry.example_id), strict=True)
    return replace(entry, prefix=prefixes, suffix=suffixes)
