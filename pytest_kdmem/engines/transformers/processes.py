"""Shares rows out over the processes of a training, and gives each of them the values of all."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import distributed

from pytest_kdmem.engines.transformers.windows import Rows, Summaries
from pytest_kdmem.errors import EngineError


class Summarized(NamedTuple):
    """Values of some rows, float64 ``[m, columns]``, and the tolerance of them in logits."""

    summaries: Summaries
    tolerance: float


def in_shares(count: int, summarize: Callable[[Rows], Summarized], *, columns: int, device: torch.device) -> Summarized:
    """Summarize rows in all processes together, and return the values of all rows and the widest tolerance.

    Every process of the group must call this. Each has as many rows as the others, some of which are another's as well:
    where a model is sharded, all must make the same passes. Without a group, this process has all rows.

    Args:
        count: Number of rows.
        summarize: Computes the values of some rows.
        columns: Number of columns of the values; at least two.
        device: Device on which processes exchange tensors.

    Raises:
        EngineError: It failed in another process.
        Exception: It failed in this one.
    """
    if not (distributed.is_available() and distributed.is_initialized()) or distributed.get_world_size() == 1:
        return summarize(np.arange(count))
    processes, own = distributed.get_world_size(), distributed.get_rank()
    each = -(-count // processes)
    rows = np.arange(own * each, (own + 1) * each)
    is_own = rows < count
    # Behind the rows one for each process: whether it failed, and its tolerance. Processes that fail must not leave the
    # others waiting.
    table = torch.zeros(count + processes, columns, dtype=torch.float64)
    failure: Exception | None = None
    try:
        summarized = summarize(rows % count)
    except Exception as error:
        failure = error
        table[count + own, 0] = 1
    else:
        table[torch.from_numpy(rows[is_own])] = torch.from_numpy(summarized.summaries[is_own])
        table[count + own, 1] = summarized.tolerance
    table = table.to(device)
    distributed.all_reduce(table)
    values = table.cpu().numpy()
    if failure is not None:
        raise failure
    if values[count:, 0].any():
        raise EngineError(
            "The model was expected to run in every process of the training, and it did not in process"
            f" {int(values[count:, 0].argmax())}, whose own log says why."
        )
    return Summarized(values[:count], float(values[count:, 1].max()))
