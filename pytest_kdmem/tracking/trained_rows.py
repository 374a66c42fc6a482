"""Holds examples against the rows that a trainer was given: token ids that training never had show nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import datasets
import numpy as np

from pytest_kdmem.base.arrays import TokenIds
from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.declared import Extraction

# What is compared: it takes a second, and misreadings concern every example.
MOST_EXAMPLES = 64
MOST_TOKENS = 4_000_000
# Packing may cut examples in two, but not most of them.
LEAST_SHARE = 0.25
# Stands between rows, and is no token id.
BREAK = np.int32(-1)


def check_trained_on(examples: Sequence[Example], extraction: Extraction, rows: Any, source: str) -> None:
    """Check that examples are of the token ids that a trainer trains on.

    What is not known, as of a stream or of columns by other names, is not refused.

    Args:
        examples: The examples of the training set.
        extraction: Lengths, of which the tokens follow that are scored of each.
        rows: The data set of the trainer; it is looked into if it is one of `datasets`, or a list, with ``input_ids``.
        source: The training set in the message.

    Raises:
        SpecError: Rows begin with one token more or less than examples do, or hold hardly any of the examples.
    """
    sequences = _sequences(rows)
    if sequences is None:
        return
    joined, is_whole = _join(sequences)
    compared = examples[:: -(-len(examples) // MOST_EXAMPLES)]
    texts = [example.ids[: example.end(extraction)].astype(np.int32) for example in compared]
    offsets = [_offset(joined, text) for text in texts]
    expected = f"The token ids of the trainer's rows were expected of training set {source}, and"
    ways_out = "declare add_special_tokens as training had it (True with BOS or EOS that the tokenizer adds)"
    if 1 in offsets and 0 not in offsets:
        raise SpecError(f"{expected} the rows have a token before its examples, such as BOS; {ways_out}.")
    held = sum(offset is not None for offset in offsets)
    if held and (held >= LEAST_SHARE * len(texts) or not is_whole):
        return
    if any(_offset(joined, text[1:]) == 0 for text in texts):
        raise SpecError(f"{expected} its examples begin with a token that the rows lack, such as BOS; {ways_out}.")
    if is_whole:
        raise SpecError(
            f"{expected} the rows hold {held or 'none'} of {len(texts)} examples of it; declare the set, and how it is"
            " read, as training has it."
        )


def _sequences(rows: Any) -> Iterator[Sequence[int]] | None:
    """Token ids of each row; None if nothing is known of them."""
    if isinstance(rows, datasets.Dataset):
        if "input_ids" not in rows.column_names:
            return None
        return (row["input_ids"] for row in rows.with_format(None).select_columns(["input_ids"]))
    if isinstance(rows, list) and rows and all(isinstance(row, dict) and "input_ids" in row for row in rows[:1]):
        return (row["input_ids"] for row in rows)
    return None


def _join(sequences: Iterator[Sequence[int]]) -> tuple[TokenIds, bool]:
    """The token ids of rows with breaks between them, and whether these are all rows."""
    parts: list[TokenIds] = []
    tokens = 0
    for sequence in sequences:
        parts += [np.array([BREAK]), np.asarray(sequence, dtype=np.int32)]
        tokens += len(parts[-1])
        if tokens >= MOST_TOKENS:
            break
    return np.concatenate([*parts, [BREAK]]).astype(np.int32), not list(islice(sequences, 1))


def _offset(joined: TokenIds, text: TokenIds) -> int | None:
    """Number of tokens of a row, two at most, before the first place of token ids; None if they stand nowhere."""
    content, wanted = joined.tobytes(), text.tobytes()
    at = content.find(wanted)
    while at >= 0 and at % joined.itemsize:
        at = content.find(wanted, at + 1)
    if at < 0:
        return None
    place = at // joined.itemsize
    return 0 if joined[place - 1] == BREAK else 1 if joined[place - 2] == BREAK else 2
