"""Sequence-level distillation: the teacher's own continuation of each training prefix (arXiv 2601.15394)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from datasets import Dataset
from transformers import PreTrainedModel

from pytest_kdmem.base.arrays import TokenIds
from pytest_kdmem.corpus.examples import in_batches
from pytest_kdmem.distill.stored_rows import TOKEN_IDS, Record, RowStore
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
) -> Dataset:
    """Each example's prefix, continued greedily by the teacher to the length of the window.

    A repeated prefix is continued once, and its continuation is returned as often as the prefix occurs. Examples
    without a whole prefix are left out.

    Args:
        load_teacher: Loads the teacher; called only if continuations are missing in the store.
        examples: Rows with ``input_ids``.
        extraction: Lengths in tokens of prefix and window.
        vocabulary: Rows of the student's embedding.
        store: Keeps the continuations.

    Raises:
        DataError: The teacher wrote a token id of ``vocabulary`` or beyond.
    """
    prefixes, prefix_indices = distinct_prefixes(examples, extraction.prefix_tokens)
    if not store.is_complete():
        teacher = load_teacher()

        def write_continuations(shard: list[TokenIds]) -> Iterator[Record]:
            for ids in continuations(teacher, shard, extraction):
                if ids.max() >= vocabulary:
                    raise DataError(
                        f"Ids below {vocabulary} were expected of the teacher, and it wrote {ids.max()}, for which the"
                        " student has no embedding; choose a student with the teacher's vocabulary."
                    )
                yield {"input_ids": ids}

        store.add_missing(prefixes, write_continuations, TOKEN_IDS)
    return store.rows().select(prefix_indices)


def distinct_prefixes(examples: Dataset, prefix_tokens: int) -> tuple[list[TokenIds], list[int]]:
    """Distinct prefixes in the order of their first occurrence, and for each example that has one, its index."""
    index_of: dict[bytes, int] = {}
    prefixes: list[TokenIds] = []
    prefix_indices: list[int] = []
    for row in examples:
        prefix = np.asarray(row["input_ids"][:prefix_tokens], dtype=np.int32)
        if len(prefix) < prefix_tokens:
            continue
        index = index_of.setdefault(prefix.tobytes(), len(prefixes))
        if index == len(prefixes):
            prefixes.append(prefix)
        prefix_indices.append(index)
    return prefixes, prefix_indices


def continuations(teacher: PreTrainedModel, prefixes: Iterable[TokenIds], extraction: Extraction) -> Iterator[TokenIds]:
    """Prefixes of one length → int32 token ids of the window's length."""
    new_tokens = extraction.window_tokens - extraction.prefix_tokens
    for batch in in_batches(prefixes, GENERATION_BATCH):
        stacked = np.stack(batch)
        ids = torch.from_numpy(stacked.astype(np.int64)).to(teacher.device)
        continued = decode_greedily(teacher, ids, new_tokens).cpu().numpy().astype(np.int32)
        yield from np.concatenate([stacked, continued], axis=1)
