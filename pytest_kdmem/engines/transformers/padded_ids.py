"""Token ids of many examples on a device, from which batches are cut without a loop over rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pytest_kdmem.base.arrays import TokenIds
from pytest_kdmem.engines.transformers.windows import Places


class PaddedIds:
    """Token ids, padded on the right by 0, where causal attention does not look.

    Args:
        sequences: The token ids of each example.
        device: Where they are needed.
        starts: Place of the first token of each suffix; None if it is the same in all.

    Attributes:
        lengths: Number of tokens of each sequence ``[n]``, int64, on the device.
        starts: Place of the first token of each suffix ``[n]``, int64, on the device, or None.
    """

    def __init__(self, sequences: Sequence[TokenIds], device: str, *, starts: Sequence[int] | None = None) -> None:
        lengths = np.array([len(ids) for ids in sequences], dtype=np.int64)
        padded = np.zeros((len(sequences), lengths.max(initial=0)), dtype=np.int32)
        if len(sequences):
            padded[np.arange(padded.shape[1]) < lengths[:, None]] = np.concatenate(sequences)
        self._lengths = lengths
        self._ids = torch.from_numpy(padded).to(device)
        self.lengths = torch.from_numpy(lengths).to(device)
        self.starts = None if starts is None else torch.tensor(starts, dtype=torch.int64, device=device)

    def batch(self, rows: slice) -> Tensor:
        """Token ids ``[batch, tokens]``, int64, as wide as the longest of them."""
        longest = int(self._lengths[rows].max())
        return self._ids[rows, :longest].long()

    def places(self, rows: slice) -> Places:
        """Where the sequences of a batch end, and their suffixes begin."""
        return Places(self.lengths[rows], None if self.starts is None else self.starts[rows])
