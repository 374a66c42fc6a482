"""While a model is trained, its forward pass returns its loss instead of logits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor
from transformers import PreTrainedModel

from pytest_kdmem.distill.batches import predicted_mask
from pytest_kdmem.distill.chunked_loss import TeacherOutputs, summed_loss
from pytest_kdmem.distill.losses import Objective
from pytest_kdmem.distill.position_loss import position_loss
from pytest_kdmem.engines.transformers.compilation import Compilation, compile_layers
from pytest_kdmem.engines.transformers.head import StandardHead
from pytest_kdmem.errors import EngineError

CROSS_ENTROPY = Objective()


@contextmanager
def forward_returns_loss(
    model: PreTrainedModel, objective: Objective, *, compilation: Compilation | None = None
) -> Iterator[None]:
    """Inside the block, ``model(input_ids, labels, position_ids, teacher)`` is its loss, summed over predicted tokens.

    The loss is computed inside the model's own forward pass. So whatever wraps the model (DDP, FSDP, autocast) also
    wraps the head and the loss, and gathers the head's weights if they are sharded. In evaluation mode the loss is
    cross-entropy. Without labels the model returns its logits as ever, so that it can be measured.

    Args:
        model: The model to train.
        objective: The loss of one position in training mode.
        compilation: Compiles the decoder layers and the loss; None runs them as they were written.

    Raises:
        EngineError: The model's head is not a standard one, or the model adds a loss of its own.
    """
    head, plain_forward = StandardHead(model), model.forward
    if getattr(model.config.get_text_config(), "output_router_logits", False):
        raise EngineError(
            f"A model without router losses was expected, and {type(model).__name__} asks for them by"
            " output_router_logits; this trainer does not compute them. Set output_router_logits to false in its"
            " config.json."
        )

    reduce = position_loss
    if compilation is not None:  # after the head was checked, which runs the model in another shape
        compile_layers(model, compilation)
        reduce = compilation.compile(position_loss, dynamic=True)

    def forward(
        input_ids: Tensor,
        labels: Tensor | None = None,
        position_ids: Tensor | None = None,
        teacher: TeacherOutputs | None = None,
        **settings: Any,
    ) -> Any:
        if labels is None:
            return plain_forward(input_ids=input_ids, position_ids=position_ids, **settings)
        predicted = predicted_mask(labels)
        hidden = head.backbone(input_ids, position_ids)[:, :-1][predicted]
        loss = objective if model.training else CROSS_ENTROPY
        return summed_loss(head, hidden, labels[:, 1:][predicted], loss, teacher, reduce=reduce)

    model.forward = forward
    try:
        yield
    finally:
        del model.forward
