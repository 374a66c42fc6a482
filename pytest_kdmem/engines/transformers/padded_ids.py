"""Token ids of many examples on a device, from which batches are cut without a loop over rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pytest_kdmem.base.arrays import TokenIds


class PaddedIds:
    """Token ids, padded on the right by 0, where causal attention does not look.

    Args:
        sequences: The token ids of each example.
        device: Where they are needed.
        longest: Number of tokens that sequences are cut to; uncut if None.

    Attributes:
        lengths: Number of tokens of each sequence ``[n]``, int64, on the device.
    """

    def __init__(self, sequences: Sequence[TokenIds], device: str, *, longest: int | None = None) -> None:
        cut = [ids[:longest] for ids in sequences]
        lengths = np.array([len(ids) for ids in cut], dtype=np.int64)
        padded = np.zeros((len(cut), lengths.max(initial=0)), dtype=np.int32)
        if len(cut):
            padded[np.arange(padded.shape[1]) < lengths[:, None]] = np.concatenate(cut)
        self._lengths = lengths
        self._ids = torch.from_numpy(padded).to(device)
        self.lengths = torch.from_numpy(lengths).to(device)

    def batch(self, rows: slice) -> Tensor:
        """Token ids ``[batch, tokens]``, int64, as wide as the longest of them."""
        longest = int(self._lengths[rows].max())
        return self._ids[rows, :longest].long()
