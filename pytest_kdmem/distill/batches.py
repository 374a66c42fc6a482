"""Rows of token ids → batches, the same whatever number of processes and micro-batches share a step."""

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

SPREAD = 2_654_435_761  # odd, and near 2³² divided by the golden ratio: neighbouring seeds land far apart


class Rows(Protocol):
    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> Row: ...


class WholeSteps(Dataset[Row]):
    """Rows, followed by empty ones up to a multiple of ``batch_size``.

    So each step has as many rows as any other and shares out evenly; an empty row predicts no token and so has no
    part in a loss that is a sum over tokens divided by their number.
    """

    def __init__(self, rows: Rows, batch_size: int) -> None:
        self.rows = rows
        self._padded = ceil(len(rows) / batch_size) * batch_size

    def __len__(self) -> int:
        return self._padded

    def __getitem__(self, index: int) -> Row:
        return self.rows[index] if index < len(self.rows) else {"input_ids": []}


class SeededOrder(Sampler[int]):
    """A permutation of the rows for each epoch, by seed and epoch alone; empty rows come last."""

    def __init__(self, data: WholeSteps, seed: int) -> None:
        self._data, self._seed = data, seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self._data)

    def __iter__(self) -> Iterator[int]:
        real = len(self._data.rows)
        # Simply added, an epoch of one seed would be another epoch of the next; and the generator heeds 32 bits only.
        generator = torch.Generator().manual_seed((self._seed * SPREAD + self.epoch) % 2**32)
        yield from torch.randperm(real, generator=generator).tolist()
        yield from range(real, len(self._data))


@dataclass(frozen=True)
class Collator:
    """Rows → ``input_ids`` and ``labels`` ``[batch, longest]`` int64, padded on the right; padding is not predicted.

    Causal attention never looks right, so no mask is needed. With ``packing`` several examples share a line and
    ``position_ids`` start anew with each, by which attention tells them apart. Rows with stored log-probabilities
    give ``teacher_ids`` and ``teacher_logprobs`` ``[m, k]``, an entry for each of the batch's m predicted tokens.
    """

    packing: bool = False

    def __call__(self, rows: Sequence[Row]) -> dict[str, Tensor]:
        longest = max(2, *(len(row["input_ids"]) for row in rows))
        lines = _first_fit(rows, longest) if self.packing else [[row] for row in rows]
        ids = torch.zeros(len(lines), longest, dtype=torch.int64)
        labels = torch.full_like(ids, IGNORED)
        positions = torch.zeros_like(ids)
        for at, line in enumerate(lines):
            start = 0
            for row in line:
                tokens = torch.as_tensor(np.asarray(row["input_ids"], dtype=np.int64))
                end = start + len(tokens)
                ids[at, start:end] = tokens
                labels[at, start + 1 : end] = tokens[1:]
                positions[at, start:end] = torch.arange(len(tokens))
                start = end
        batch = {"input_ids": ids, "labels": labels}
        if self.packing:
            batch["position_ids"] = positions
        if stored := [row for line in lines for row in line if "teacher_ids" in row]:
            for name, dtype in (("teacher_ids", np.int64), ("teacher_logprobs", np.float32)):
                predicted = [(np.asarray(row[name], dtype=dtype), len(row["input_ids"]) - 1) for row in stored]
                joined = np.concatenate([flat.reshape(tokens, -1) for flat, tokens in predicted])
                batch[name] = torch.from_numpy(joined)
        return batch


def _first_fit(rows: Sequence[Row], length: int) -> list[list[Row]]:
    """Rows into as few lines of ``length`` tokens as first-fit by falling length finds."""
    lines: list[list[Row]] = []
    free: list[int] = []
    for row in sorted(rows, key=lambda row: -len(row["input_ids"])):
        needed = len(row["input_ids"])
        at = next((at for at, room in enumerate(free) if room >= needed), None)
        if at is None:
            lines.append([])
            free.append(length)
            at = len(lines) - 1
        lines[at].append(row)
        free[at] -= needed
    return lines
