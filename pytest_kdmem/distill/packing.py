"""Whether a model keeps examples apart that share a line: many architectures do not, and none says so."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import PreTrainedModel

from pytest_kdmem.engines.transformers.head import StandardHead
from pytest_kdmem.errors import EngineError

# Of the greatest state: what another batch shape moves them by, float32 and below.
ROUNDING = {torch.float32: 1e-4}
COARSE_ROUNDING = 3e-2


@torch.inference_mode()
def check_packing(model: PreTrainedModel) -> None:
    """Raise EngineError unless an example's states are the same alone and behind any other example.

    Args:
        model: in evaluation mode, on the device it will run on.
    """
    head = StandardHead(model)
    first, other, second = (torch.arange(start, start + length) for start, length in ((1, 9), (11, 9), (3, 7)))
    behind_first, behind_other, alone = (
        _states(head, model, lines)[-len(second) :] for lines in ((first, second), (other, second), (second,))
    )
    scale = float(alone.abs().max())
    tolerance = ROUNDING.get(alone.dtype, COARSE_ROUNDING) * scale
    if not torch.equal(behind_first, behind_other) or float((behind_first - alone).abs().max()) > tolerance:
        raise EngineError(
            f"A model that keeps packed examples apart was expected, and {type(model).__name__} does not: one example's"
            " states depend on what stands before it in its line; train without packing."
        )


def _states(head: StandardHead, model: PreTrainedModel, examples: tuple[Tensor, ...]) -> Tensor:
    """``[tokens, width]`` of examples on one line."""
    ids = torch.cat(examples)[None].to(model.device)
    positions = torch.cat([torch.arange(len(one)) for one in examples])[None].to(model.device)
    return head.backbone(ids, positions)[0]
