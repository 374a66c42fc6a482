"""Checks that a model keeps packed examples apart: many architectures do not, and none reports it."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import PreTrainedModel

from pytest_kdmem.engines.transformers.head import StandardHead
from pytest_kdmem.errors import EngineError

# How far another batch shape may move hidden states, as a share of the largest of them.
ROUNDING = {torch.float32: 1e-4}
COARSE_ROUNDING = 3e-2


@torch.inference_mode()
def check_packing(model: PreTrainedModel) -> None:
    """Raise EngineError unless an example has the same hidden states alone and behind any other example.

    Args:
        model: In evaluation mode, on the device on which it will run.
    """
    head = StandardHead(model)
    example, neighbour_a, neighbour_b = (
        torch.arange(start, start + length) for start, length in ((3, 7), (1, 9), (11, 9))
    )
    behind_a, behind_b, alone = (
        _states(head, model, line)[-len(example) :]
        for line in ((neighbour_a, example), (neighbour_b, example), (example,))
    )
    scale = float(alone.abs().max())
    tolerance = ROUNDING.get(alone.dtype, COARSE_ROUNDING) * scale
    if not torch.equal(behind_a, behind_b) or float((behind_a - alone).abs().max()) > tolerance:
        raise EngineError(
            f"A model that keeps packed examples apart was expected, and {type(model).__name__} does not: the hidden"
            " states of an example depend on the example before it in its row; train without --packing."
        )


def _states(head: StandardHead, model: PreTrainedModel, examples: tuple[Tensor, ...]) -> Tensor:
    """``[tokens, width]`` hidden states of examples that are packed into one row."""
    ids = torch.cat(examples)[None].to(model.device)
    positions = torch.cat([torch.arange(len(example)) for example in examples])[None].to(model.device)
    return head.backbone(ids, positions)[0]
