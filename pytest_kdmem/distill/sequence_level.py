"""What a hard student learns from: the teacher's own continuation of each training prefix."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from transformers import PreTrainedModel

from pytest_kdmem.corpus.columns import Ids
from pytest_kdmem.corpus.examples import in_batches
from pytest_kdmem.engines.decoding import decode_greedily
from pytest_kdmem.spec import Extraction


def teacher_sequences(
    teacher: PreTrainedModel, examples: Iterable[Ids], extraction: Extraction, *, batch_size: int
) -> Iterator[Ids]:
    """Each example's prefix, continued greedily by the teacher up to the window.

    Repeated prefixes are decoded once and come out as often as they went in; examples without a whole prefix drop out.
    """
    known: dict[bytes, Ids] = {}
    usable = (ids[: extraction.prefix_tokens] for ids in examples if len(ids) >= extraction.prefix_tokens)
    for prefixes in in_batches(usable, batch_size * 16):
        fresh = list({prefix.tobytes(): prefix for prefix in prefixes if prefix.tobytes() not in known}.values())
        for batch in in_batches(fresh, batch_size):
            stacked = torch.from_numpy(np.stack(batch).astype(np.int64)).to(teacher.device)
            new = extraction.window_tokens - extraction.prefix_tokens
            continued = decode_greedily(teacher, stacked, new).cpu().numpy().astype(np.int32)
            for prefix, continuation in zip(batch, continued, strict=True):
                known[prefix.tobytes()] = np.concatenate([prefix, continuation])
        yield from (known[prefix.tobytes()] for prefix in prefixes)
