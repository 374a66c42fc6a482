"""The interface of an engine and the scores it returns; importing this loads no framework."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from pytest_kdmem.base.arrays import Flags, TokenIds
from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.errors import EngineError
from pytest_kdmem.specs.declared import Extraction

Metrics = Literal["verdict", "all"]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Scores:
    """Scores of n examples, each array of shape ``[n]``; NaN where a metric was not computed.

    Attributes:
        margin: Least margin over the suffix, in logits: the target's logit minus the best other logit.
        first_miss: First suffix position with a negative margin (int16), −1 if there is none.
        logprob: Log-probability of the suffix, in nats.
        nll: Mean negative log-likelihood of the window's predicted tokens, in nats.
        entropy: Mean entropy of the predicted distribution over the suffix, in nats.
        tolerance: Margin, in logits, within which another kernel or batch size could change the verdict.
    """

    margin: Floats
    first_miss: npt.NDArray[np.int16]
    logprob: Floats
    nll: Floats
    entropy: Floats
    tolerance: float

    @property
    def memorized(self) -> Flags:
        return self.first_miss < 0

    @property
    def ambiguous(self) -> Flags:
        # NaN compares as false: it stands for a sure miss whose least margin is unknown.
        return np.abs(self.margin) <= self.tolerance


class Engine(Protocol):
    """A loaded model. ``tolerance`` is that of its scores, in logits."""

    tolerance: float

    def score(
        self, examples: Sequence[Example], extraction: Extraction, metrics: Metrics, advance: Callable[[int], None]
    ) -> Scores:
        """Score examples.

        Args:
            examples: Examples of at least prefix and suffix tokens.
            extraction: Lengths of prefix, suffix and window.
            metrics: Which metrics to compute.
            advance: Receives the number of examples done, every few examples.

        Raises:
            EngineError: The model gives NaN, or a single example does not fit into memory.
        """

    def losses(self, examples: Sequence[Example]) -> list[Floats]:
        """The loss of each token of each example but its first, in nats.

        Raises:
            EngineError: The engine gives verdicts only, the model gives NaN, or an example does not fit into memory.
        """

    def decode(self, prefixes: Sequence[TokenIds], new_tokens: int) -> list[TokenIds]:
        """Continue each prefix by the engine's own greedy decoding; EOS is an ordinary token."""

    def close(self) -> None:
        """Free the memory of the model."""


def check_ids(examples: Sequence[Example], vocabulary: int, name: str) -> None:
    """Check that every token id lies in the vocabulary of a model.

    Args:
        examples: The examples to check.
        vocabulary: Number of tokens of the model.
        name: Name of the model in the message.

    Raises:
        EngineError: An id lies outside.
    """
    for example in examples:
        lowest, highest = int(example.ids.min()), int(example.ids.max())
        if lowest < 0 or highest >= vocabulary:
            raise EngineError(
                f"Token ids from 0 to below {vocabulary} were expected by model {name}, and example {example.position}"
                f" holds {lowest if lowest < 0 else highest}: the ids were made with another tokenizer."
            )
