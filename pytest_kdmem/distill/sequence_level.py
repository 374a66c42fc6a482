"""What a hard student learns from: the teacher's own continuation of each training prefix (arXiv 2601.15394)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from datasets import Dataset
from transformers import PreTrainedModel

from pytest_kdmem.base.arrays import TokenIds
from pytest_kdmem.corpus.examples import in_batches
from pytest_kdmem.distill.process_group import ProcessGroup
from pytest_kdmem.distill.stored_rows import IDS, Record, are_stored, as_ids, store_rows, stored_rows
from pytest_kdmem.engines.transformers.decoding import decode_greedily
from pytest_kdmem.errors import DataError
from pytest_kdmem.specs.declared import Extraction

GENERATION_BATCH = 64


# What is lost when a process ends, and what one process waits for while another writes.
TEXTS_PER_SHARD = 256


def teacher_text(
    load_teacher: Callable[[], PreTrainedModel],
    examples: Dataset,
    extraction: Extraction,
    vocabulary: int,
    folder: Path,
    processes: ProcessGroup,
) -> Dataset:
    """Each example's prefix, continued greedily up to the window; made once and kept in ``folder``.

    Repeated prefixes are continued once and come out as often as they went in; examples without a whole prefix drop
    out. The teacher is loaded only where a continuation is missing.

    Raises:
        DataError: the teacher wrote an id beyond ``vocabulary``, the rows of the student's embedding.
    """
    prefixes, copies = distinct_prefixes(examples, extraction.prefix_tokens)
    if not are_stored(folder):
        teacher = load_teacher()

        def continued(some: list[TokenIds]) -> Iterator[Record]:
            for ids in continuations(teacher, some, extraction):
                if ids.max() >= vocabulary:
                    raise DataError(
                        f"Ids below {vocabulary} were expected of the teacher, and it wrote {ids.max()}, which the"
                        " student has no embedding for; give a student of the teacher's vocabulary."
                    )
                yield as_ids(ids)

        store_rows(folder, prefixes, continued, IDS, processes, rows_a_shard=TEXTS_PER_SHARD)
    processes.wait()
    return stored_rows(folder).select(copies)


def distinct_prefixes(examples: Dataset, tokens: int) -> tuple[list[TokenIds], list[int]]:
    """Prefixes in the order they first occur, and for each example that has a whole one, which of them."""
    places: dict[bytes, int] = {}
    prefixes: list[TokenIds] = []
    copies: list[int] = []
    for row in examples:
        prefix = np.asarray(row["input_ids"][:tokens], dtype=np.int32)
        if len(prefix) < tokens:
            continue
        place = places.setdefault(prefix.tobytes(), len(prefixes))
        if place == len(prefixes):
            prefixes.append(prefix)
        copies.append(place)
    return prefixes, copies


def continuations(teacher: PreTrainedModel, prefixes: Iterable[TokenIds], extraction: Extraction) -> Iterator[TokenIds]:
    """Prefixes of one length → int32 ids of window length."""
    new = extraction.window_tokens - extraction.prefix_tokens
    for batch in in_batches(prefixes, GENERATION_BATCH):
        stacked = torch.from_numpy(np.stack(batch).astype(np.int64)).to(teacher.device)
        continued = decode_greedily(teacher, stacked, new).cpu().numpy().astype(np.int32)
        yield from np.concatenate([np.stack(batch), continued], axis=1)
