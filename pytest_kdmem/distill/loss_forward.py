"""A model that gives its loss instead of logits while it is trained."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor
from transformers import PreTrainedModel

from pytest_kdmem.distill.chunked_loss import TeacherOutputs, summed_loss
from pytest_kdmem.distill.losses import IGNORED, Objective
from pytest_kdmem.engines.transformers.head import StandardHead
from pytest_kdmem.errors import EngineError

CROSS_ENTROPY = Objective()


def predicted_mask(labels: Tensor) -> Tensor:
    """Bool ``[batch, tokens − 1]``: whether token t + 1 is predicted from position t."""
    return labels[:, 1:] != IGNORED


@contextmanager
def forward_returns_loss(model: PreTrainedModel, objective: Objective) -> Iterator[None]:
    """Within, ``model(input_ids, labels, position_ids, teacher)`` is the sum of its loss over predicted tokens.

    The loss is taken inside the model's own forward, so whatever wraps the model (DDP, FSDP, autocast) wraps the head
    and the loss, too, and gathers the head's weights where they are sharded. In evaluation it is cross-entropy.

    Raises:
        EngineError: the model's head is not a standard one, or it has a loss of its own beside.
    """
    head = StandardHead(model)
    if getattr(model.config.get_text_config(), "output_router_logits", False):
        raise EngineError(
            f"A model without router losses was expected, and {type(model).__name__} asks for them by"
            " output_router_logits, which this loss does not hold; set it to false in its config.json."
        )

    def forward(
        input_ids: Tensor,
        labels: Tensor,
        position_ids: Tensor | None = None,
        teacher: TeacherOutputs | None = None,
    ) -> Tensor:
        predicted = predicted_mask(labels)
        hidden = head.backbone(input_ids, position_ids)[:, :-1][predicted]
        chosen = objective if model.training else CROSS_ENTROPY
        return summed_loss(head, hidden, labels[:, 1:][predicted], chosen, teacher)

    model.forward = forward
    try:
        yield
    finally:
        del model.forward
