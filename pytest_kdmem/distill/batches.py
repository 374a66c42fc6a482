"""Rows of token ids → batches that do not depend on the number of processes or micro-batches that share a step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from pytest_kdmem.distill.losses import IGNORED

Row = dict[str, Any]

# Odd, and near 2³² divided by the golden ratio, so that the products of neighbouring seeds differ widely.
SEED_MULTIPLIER = 2_654_435_761


class Rows(Protocol):
    """A sequence of rows with ``input_ids``, and ``prompt_tokens`` of those whose loss is of an answer alone."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> Row: ...


class WholeSteps(Dataset[Row]):
    """Rows, followed by empty rows up to a multiple of ``batch_size``.

    Every step then has the same number of rows and splits evenly. An empty row predicts no token, so it adds nothing to
    a loss that is a sum over tokens divided by their number.
    """

    def __init__(self, rows: Rows, batch_size: int) -> None:
        self.rows = rows
        self._padded_length = ceil(len(rows) / batch_size) * batch_size

    def __len__(self) -> int:
        return self._padded_length

    def __getitem__(self, index: int) -> Row:
        return self.rows[index] if index < len(self.rows) else {"input_ids": []}


class SeededOrder(Sampler[int]):
    """A permutation of the rows for each epoch, a function of seed and epoch alone; empty rows come last."""

    def __init__(self, data: WholeSteps, seed: int) -> None:
        self._data, self._seed = data, seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self._data)

    def __iter__(self) -> Iterator[int]:
        row_count = len(self._data.rows)
        # With seed + epoch, two seeds would share most of their epochs; and the generator uses only 32 bits.
        generator = torch.Generator().manual_seed((self._seed * SEED_MULTIPLIER + self.epoch) % 2**32)
        yield from torch.randperm(row_count, generator=generator).tolist()
        yield from range(row_count, len(self._data))


@dataclass(frozen=True)
class Collator:
    """Rows → ``input_ids`` and ``labels`` ``[batch, longest]`` int64, padded on the right with positions not predicted.

    Causal attention never sees what is to the right, so no attention mask is needed. With ``packing`` several rows
    share a line of the batch, and ``position_ids`` start from 0 with each row, by which attention separates them. Rows
    with stored log-probabilities also give ``teacher_ids`` and ``teacher_logprobs`` ``[m, k]``, one line for each of
    the m predicted tokens of the batch.
    """

    packing: bool = False

    def __call__(self, rows: Sequence[Row]) -> dict[str, Tensor]:
        longest = max(2, *(len(row["input_ids"]) for row in rows))
        lines = _first_fit(rows, longest) if self.packing else [[row] for row in rows]
        ids = torch.zeros(len(lines), longest, dtype=torch.int64)
        labels = torch.full_like(ids, IGNORED)
        positions = torch.zeros_like(ids)
        for line_index, line in enumerate(lines):
            start = 0
            for row in line:
                tokens = torch.as_tensor(np.asarray(row["input_ids"], dtype=np.int64))
                end = start + len(tokens)
                ids[line_index, start:end] = tokens
                first = first_predicted(row)
                labels[line_index, start + first : end] = tokens[first:]
                positions[line_index, start:end] = torch.arange(len(tokens))
                start = end
        batch = {"input_ids": ids, "labels": labels}
        if self.packing:
            batch["position_ids"] = positions
        return batch | _stored_logprobs([row for line in lines for row in line if "teacher_ids" in row])


def first_predicted(row: Row) -> int:
    """Place of the first token whose loss is taken: behind the prompt of an answer, or the second of all."""
    return max(1, int(row.get("prompt_tokens", 1)))


def predicted_mask(labels: Tensor) -> Tensor:
    """Bool ``[batch, tokens − 1]``: whether token t + 1 is predicted from position t."""
    return labels[:, 1:] != IGNORED


def _stored_logprobs(rows: Sequence[Row]) -> dict[str, Tensor]:
    """The rows' stored ids and log-probabilities, ``[m, k]`` each; empty if there are no rows."""
    batch = {}
    if rows:
        for name, dtype in (("teacher_ids", np.int64), ("teacher_logprobs", np.float32)):
            predicted = [len(row["input_ids"]) - first_predicted(row) for row in rows]
            values = [np.asarray(row[name], dtype=dtype) for row in rows]
            shaped = [flat.reshape(tokens, -1) for flat, tokens in zip(values, predicted, strict=True)]
            batch[name] = torch.from_numpy(np.concatenate(shaped))
    return batch


def _first_fit(rows: Sequence[Row], line_length: int) -> list[list[Row]]:
    """Distribute rows over lines of ``line_length`` tokens by first-fit decreasing, which keeps the lines few."""
    lines: list[list[Row]] = []
    free_tokens: list[int] = []
    for row in sorted(rows, key=lambda row: -len(row["input_ids"])):
        needed = len(row["input_ids"])
        index = next((index for index, free in enumerate(free_tokens) if free >= needed), None)
        if index is None:
            lines.append([])
            free_tokens.append(line_length)
            index = len(lines) - 1
        lines[index].append(row)
        free_tokens[index] -= needed
    return lines
