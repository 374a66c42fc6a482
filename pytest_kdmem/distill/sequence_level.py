"""Sequence-level distillation: the teacher's own continuation of each training prefix (arXiv 2601.15394)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby

import numpy as np
import torch
from datasets import Dataset
from transformers import PreTrainedModel

from pytest_kdmem.base.arrays import TokenIds
from pytest_kdmem.corpus.examples import in_batches
from pytest_kdmem.distill.stored_rows import ANSWERS, TOKEN_IDS, Record, RowStore
from pytest_kdmem.engines.transformers.decoding import decode_greedily
from pytest_kdmem.errors import DataError
from pytest_kdmem.specs.declared import Extraction

GENERATION_BATCH = 64

# A process that is stopped loses at most this many texts, and other processes wait for at most as many.
TEXTS_PER_SHARD = 256


def teacher_text(
    load_teacher: Callable[[], PreTrainedModel],
    examples: Dataset,
    extraction: Extraction,
    vocabulary: int,
    store: RowStore,
    *,
    end: int | None = None,
) -> Dataset:
    """Each example's prefix, continued greedily by the teacher to the length of the window.

    The prefix of an answer is its prompt, behind which the teacher answers up to its end. A repeated prefix is
    continued once, and its continuation is returned as often as the prefix occurs. Examples without a whole prefix are
    left out.

    Args:
        load_teacher: Loads the teacher; called only if continuations are missing in the store.
        examples: Rows with ``input_ids``.
        extraction: Lengths in tokens of prefix and window.
        vocabulary: Rows of the student's embedding.
        store: Keeps the continuations.
        end: Token id that ends an answer; None if there is none.

    Raises:
        DataError: The teacher wrote a token id of ``vocabulary`` or beyond.
    """
    of_answers = "prompt_tokens" in examples.column_names
    prefixes, prefix_indices = distinct_prefixes(examples, extraction.prefix_tokens)
    if not store.is_complete():
        teacher = load_teacher()

        def write_continuations(shard: list[TokenIds]) -> Iterator[Record]:
            for prefix, continued in zip(shard, continuations(teacher, shard, extraction), strict=True):
                ids = _up_to_end(continued, len(prefix), end) if of_answers else continued
                if ids.max() >= vocabulary:
                    raise DataError(
                        f"Ids below {vocabulary} were expected of the teacher, and it wrote {ids.max()}, for which the"
                        " student has no embedding; choose a student with the teacher's vocabulary."
                    )
                yield {"input_ids": ids, "prompt_tokens": len(prefix)}

        store.add_missing(prefixes, write_continuations, ANSWERS if of_answers else TOKEN_IDS)
    return store.rows().select(prefix_indices)


def distinct_prefixes(examples: Dataset, prefix_tokens: int) -> tuple[list[TokenIds], list[int]]:
    """Distinct prefixes in the order of their first occurrence, and for each example that has one, its index."""
    index_of: dict[bytes, int] = {}
    prefixes: list[TokenIds] = []
    prefix_indices: list[int] = []
    for row in examples:
        length = int(row.get("prompt_tokens", prefix_tokens))
        prefix = np.asarray(row["input_ids"][:length], dtype=np.int32)
        if len(prefix) < length:
            continue
        index = index_of.setdefault(prefix.tobytes(), len(prefixes))
        if index == len(prefixes):
            prefixes.append(prefix)
        prefix_indices.append(index)
    return prefixes, prefix_indices


def continuations(teacher: PreTrainedModel, prefixes: Iterable[TokenIds], extraction: Extraction) -> Iterator[TokenIds]:
    """Prefixes → int32 token ids of the window's length; those of one length that follow each other go together."""
    for length, group in groupby(prefixes, key=len):
        new_tokens = extraction.window_tokens - length
        for batch in in_batches(group, GENERATION_BATCH):
            stacked = np.stack(batch)
            ids = torch.from_numpy(stacked.astype(np.int64)).to(teacher.device)
            continued = decode_greedily(teacher, ids, new_tokens).cpu().numpy().astype(np.int32)
            yield from np.concatenate([stacked, continued], axis=1)


def _up_to_end(ids: TokenIds, prefix_tokens: int, end: int | None) -> TokenIds:
    """A continued prompt up to the first end of an answer behind it."""
    if end is None or not len(ends := np.flatnonzero(ids[prefix_tokens:] == end)):
        return ids
    return ids[: prefix_tokens + int(ends[0]) + 1]
