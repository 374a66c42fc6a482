"""The teacher's k most probable next tokens, stored ahead, for a teacher that does not fit beside the student."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from torch import Tensor
from transformers import PreTrainedModel

from pytest_kdmem.corpus.examples import in_batches
from pytest_kdmem.distill.batches import Collator
from pytest_kdmem.distill.chunked_loss import chunk_positions
from pytest_kdmem.distill.loss_forward import predicted_mask
from pytest_kdmem.distill.process_group import ProcessGroup
from pytest_kdmem.distill.recipe import Recipe
from pytest_kdmem.distill.stored_rows import WITH_TEACHER, Record, are_stored, store_rows, stored_rows
from pytest_kdmem.distill.teachers import LiveTeacher

READING_BATCH = 16


def with_top_k(
    load_teacher: Callable[[], PreTrainedModel],
    examples: Dataset,
    recipe: Recipe,
    vocabulary: int,
    folder: Path,
    processes: ProcessGroup,
) -> Dataset:
    """Examples with ``teacher_ids`` and ``teacher_logprobs`` (at the recipe's T), k a predicted token, row after row.

    Made once and kept in ``folder``; the teacher is loaded only where some are missing.
    """
    if not are_stored(folder):
        live = LiveTeacher(load_teacher(), recipe.temperature)

        def scored(rows: list[Any]) -> Iterator[Record]:
            for batch in in_batches(rows, READING_BATCH):
                yield from _scored(live, list(batch), recipe, vocabulary)

        store_rows(folder, examples, scored, WITH_TEACHER, processes)
    processes.wait()
    return stored_rows(folder)


def _scored(live: LiveTeacher, rows: list[Any], recipe: Recipe, vocabulary: int) -> Iterator[Record]:
    batch = Collator()(rows)
    device = live.model.device
    ids, predicted = batch["input_ids"].to(device), predicted_mask(batch["labels"].to(device))
    autocast = torch.autocast(device.type, torch.bfloat16) if recipe.precision == "bfloat16" else nullcontext()
    with autocast:
        view = live.read(ids, None, predicted)
    k = min(recipe.teacher_top_k or vocabulary, vocabulary)
    size, total = chunk_positions(vocabulary, device), int(predicted.sum())
    reference = torch.empty(0, vocabulary, device=device)  # tells the view the vocabulary wanted
    parts = [view.logprobs(slice(at, at + size), reference).topk(k, dim=1) for at in range(0, total, size)]
    top, which = (_joined([part[index] for part in parts], k) for index in (0, 1))
    ends = np.cumsum([max(len(row["input_ids"]) - 1, 0) for row in rows])
    for row, end in zip(rows, ends, strict=True):
        here = slice(end - max(len(row["input_ids"]) - 1, 0), end)
        yield {
            "input_ids": row["input_ids"],
            "teacher_ids": which[here].reshape(-1),
            "teacher_logprobs": top[here].reshape(-1),
        }


def _joined(parts: list[Tensor], k: int) -> np.ndarray[Any, Any]:
    return torch.cat(parts).cpu().numpy() if parts else np.empty((0, k))
