"""How far a margin can be off, given how far other ways to compute it move it."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np
import torch
from transformers import PreTrainedModel

from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.engines.transformers.decoding import margins_step_by_step
from pytest_kdmem.engines.transformers.head import StandardHead
from pytest_kdmem.engines.transformers.passes import ForwardPasses

# Sequences of random ids, and their longest length, that the change of a margin is measured on.
SEQUENCES = 4
LONGEST = 64


def tolerance_of(change: float, highest_logit: float, dtype: torch.dtype) -> float:
    """Half the width of the band, in logits, in which a verdict is ambiguous.

    It is four times the largest change, rounded up to a power of two, and at least the spacing of the dtype's numbers
    at the highest logits: two ways to compute may happen to round alike, and logits are never known better than that.

    Args:
        change: Largest change of a margin that was seen, in logits.
        highest_logit: Largest absolute value of the highest logits.
        dtype: Dtype of the computation.
    """
    spacing = torch.finfo(dtype).eps * max(1.0, highest_logit)
    return float(2.0 ** math.ceil(math.log2(max(4 * change, spacing))))


@torch.inference_mode()
def measured_tolerance(
    model: PreTrainedModel,
    head: StandardHead,
    passes: ForwardPasses,
    positions: int,
    compiled: Callable[[], AbstractContextManager[None]],
) -> float:
    """The `tolerance_of` the change of a margin by batch, compilation and cached decoding.

    It is measured on random ids, which is cheap and the same each time; `confirm` tests it on the audit's own rows.

    Args:
        model: The loaded model.
        head: Its backbone and head.
        passes: Passes over batches of token ids.
        positions: Number of positions of the model.
        compiled: Lets the model run as it scores.

    Raises:
        OverflowedError: The model gives NaN or infinity.
    """
    length = min(LONGEST, positions)
    generator = torch.Generator().manual_seed(0)
    vocabulary = int(head.linear.weight.shape[0])
    ids = torch.randint(0, vocabulary, (SEQUENCES, length), generator=generator, dtype=torch.int64).to(passes.device)
    with compiled():
        batched = passes.margins(ids, 1)
    single = torch.cat([passes.margins(row[None], 1) for row in ids])
    is_broken = (batched + single).isnan().any(dim=1)
    passes.check_finite(is_broken.cpu().numpy(), [Example(-1, np.empty(0, np.int32))] * len(ids))
    prompt_tokens = length * 3 // 4
    stepped = margins_step_by_step(model, ids, prompt_tokens)
    change = max((batched - single).abs().max(), (batched[:, prompt_tokens:] - stepped).abs().max())
    highest = head.logits(head.backbone(ids)).float().amax(dim=-1).abs().max()
    return tolerance_of(float(change), float(highest), passes.dtype)
