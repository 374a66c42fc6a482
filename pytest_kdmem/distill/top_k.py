"""The teacher's k most probable next tokens, stored ahead of training, so that the teacher is not loaded beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from torch import Tensor
from transformers import PreTrainedModel

from pytest_kdmem.corpus.examples import in_batches
from pytest_kdmem.distill.batches import Collator, first_predicted, predicted_mask
from pytest_kdmem.distill.chunked_loss import chunk_positions
from pytest_kdmem.distill.recipe import Recipe
from pytest_kdmem.distill.stored_rows import Record, RowStore, with_teacher
from pytest_kdmem.distill.teachers import LiveTeacher

READING_BATCH = 16


def add_top_k_logprobs(
    load_teacher: Callable[[], PreTrainedModel], examples: Dataset, recipe: Recipe, vocabulary: int, store: RowStore
) -> Dataset:
    """Examples with ``teacher_ids`` and ``teacher_logprobs``: k of each per predicted token, flattened.

    Args:
        load_teacher: Loads the teacher; called only if rows are missing in the store.
        examples: Rows with ``input_ids``.
        recipe: Gives k, the temperature of the log-probabilities and the precision of the teacher's forward pass.
        vocabulary: Number of token ids that the log-probabilities are taken over.
        store: Keeps the rows.
    """
    if not store.is_complete():
        teacher = LiveTeacher(load_teacher(), recipe.temperature)

        def score(rows: list[Any]) -> Iterator[Record]:
            for batch in in_batches(rows, READING_BATCH):
                yield from _score_batch(teacher, list(batch), recipe, vocabulary)

        store.add_missing(examples, score, with_teacher(of_answers="prompt_tokens" in examples.column_names))
    return store.rows()


def _score_batch(teacher: LiveTeacher, rows: list[Any], recipe: Recipe, vocabulary: int) -> Iterator[Record]:
    batch = Collator()(rows)
    device = teacher.model.device
    ids, predicted = batch["input_ids"].to(device), predicted_mask(batch["labels"].to(device))
    autocast = torch.autocast(device.type, torch.bfloat16) if recipe.precision == "bfloat16" else nullcontext()
    with autocast:
        outputs = teacher.outputs(ids, None, predicted)
    k = min(recipe.teacher_top_k or vocabulary, vocabulary)
    chunk, total = chunk_positions(vocabulary, device), int(predicted.sum())
    top = [outputs.chunk(slice(at, at + chunk), vocabulary).logprobs().topk(k, dim=1) for at in range(0, total, chunk)]
    logprobs, top_ids = _joined([part.values for part in top], k), _joined([part.indices for part in top], k)
    counts = [max(len(row["input_ids"]) - first_predicted(row), 0) for row in rows]
    for row, end, count in zip(rows, np.cumsum(counts), counts, strict=True):
        yield {
            **row,
            "teacher_ids": top_ids[end - count : end].reshape(-1),
            "teacher_logprobs": logprobs[end - count : end].reshape(-1),
        }


def _joined(parts: list[Tensor], k: int) -> np.ndarray[Any, Any]:
    return torch.cat(parts).cpu().numpy() if parts else np.empty((0, k))
