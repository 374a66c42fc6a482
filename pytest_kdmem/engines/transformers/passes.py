"""Forward passes of one loaded model over batches of token ids."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import Cache

from pytest_kdmem.base.arrays import Flags
from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.engines.transformers.head import HeadOfThread
from pytest_kdmem.engines.transformers.padded_ids import PaddedIds
from pytest_kdmem.engines.transformers.reduction import Positions, reduce_margins, reduce_positions
from pytest_kdmem.engines.transformers.windows import suffix_places
from pytest_kdmem.errors import OverflowedError
from pytest_kdmem.specs.declared import Extraction


class ForwardPasses:
    """Runs a model's backbone over whole batches, and its head over the tokens that are asked for, in chunks.

    Args:
        name: Name of the model, in messages.
        heads: The model's backbone and head.
        device: Device of the model.
        dtype: Dtype of the computation.
        chunk: Number of tokens over which the head runs at once.
    """

    def __init__(self, name: str, heads: HeadOfThread, *, device: str, dtype: torch.dtype, chunk: int) -> None:
        self._name, self._heads = name, heads
        self.device, self.dtype, self.chunk = device, dtype, chunk

    @torch.inference_mode()
    def values(self, ids: Tensor, first: int) -> Positions:
        """Values ``[batch, tokens − first]`` of the tokens from ``first`` on; padding has values too."""
        hidden, targets = self.hidden(ids, first)
        return by_example(len(ids), reduce_positions(hidden, targets, self.logits, chunk=self.chunk))

    @torch.inference_mode()
    def margins(self, ids: Tensor, first: int) -> Tensor:
        """Margins ``[batch, tokens − first]`` of the tokens from ``first`` on."""
        hidden, targets = self.hidden(ids, first)
        return reduce_margins(hidden, targets, self.logits, chunk=self.chunk).reshape(len(ids), -1)

    @torch.inference_mode()
    def suffix_margins(self, ids: Tensor, starts: Tensor, tokens: int) -> Tensor:
        """Margins ``[batch, tokens]`` of the first tokens of suffixes that begin at ``starts`` ``[batch]``."""
        flat, targets = self.suffix_hidden(ids, starts, tokens)
        return reduce_margins(flat, targets, self.logits, chunk=self.chunk).reshape(len(ids), -1)

    def suffix_hidden(self, ids: Tensor, starts: Tensor, tokens: int) -> tuple[Tensor, Tensor]:
        """Last hidden states ``[m, width]`` before each of the first tokens of suffixes, and these tokens ``[m]``."""
        places = suffix_places(starts, tokens)
        hidden = self._heads.head.backbone(ids[:, :-1])
        before = hidden.gather(1, (places - 1)[..., None].expand(-1, -1, hidden.shape[-1]))
        return before.reshape(-1, hidden.shape[-1]), ids.gather(1, places).reshape(-1)

    def step(self, ids: Tensor, cache: Cache | None = None) -> tuple[Tensor, Cache | None]:
        """Last hidden states of tokens behind those of a cache, and the cache with both; see `StandardHead.step`."""
        return self._heads.head.step(ids, cache)

    def hidden(self, ids: Tensor, first: int) -> tuple[Tensor, Tensor]:
        """Last hidden states ``[m, width]`` before each token from ``first`` on, and these tokens ``[m]``."""
        hidden = self._heads.head.backbone(ids[:, :-1])[:, first - 1 :]
        return hidden.reshape(-1, hidden.shape[-1]), ids[:, first:].reshape(-1)

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits ``[m, vocabulary]`` of hidden states ``[m, width]``."""
        return self._heads.head.logits(hidden)

    def padded(self, examples: Sequence[Example], extraction: Extraction | None = None) -> PaddedIds:
        """Token ids of examples on the model's device, with the places of their suffixes if these are asked for."""
        starts = None if extraction is None else starts_of(examples, extraction)
        return PaddedIds([example.ids for example in examples], self.device, starts=starts)

    def check_finite(self, broken: Flags, batch: Sequence[Example]) -> None:
        """Raise OverflowedError for the first example of a batch of which a logit is NaN or infinite."""
        if broken.any():
            position = batch[int(broken.argmax())].position
            raise OverflowedError(
                f"Finite logits were expected of model {self._name}, and it gives NaN or infinity"
                f" {f'at example {position}' if position >= 0 else 'whatever the text'}; its weights are broken, or"
                f" {self.dtype} overflows: try --kdmem-dtype float32."
            )


def starts_of(examples: Sequence[Example], extraction: Extraction) -> list[int] | None:
    """Place of the first token of each suffix; None if no example has its own."""
    if all(example.prefix_tokens is None for example in examples):
        return None
    return [example.start(extraction) for example in examples]


def by_example(examples: int, flat: Positions) -> Positions:
    """Reshape the values ``[m]`` of a batch to ``[batch, tokens]``."""
    return Positions(*(values.reshape(examples, -1) for values in flat))
