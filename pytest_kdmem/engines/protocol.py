"""What an engine is to the rest, and what it is told: importing this loads no framework."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from pytest_kdmem.base.arrays import TokenIds
from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.errors import EngineError
from pytest_kdmem.specs.declared import Extraction

Metrics = Literal["verdict", "all"]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Scores:
    """Scores of n examples, each array of shape ``[n]``; NaN where a metric was not asked for.

    ``margin`` is the least over the suffix of target's logit minus the best other logit; ``first_miss`` (int16) the
    first suffix position with a negative one, −1 if none; ``logprob`` the log-probability of the suffix (nats);
    ``nll`` the mean over the window's predicted tokens (nats); ``entropy`` the mean over the suffix (nats).
    ``tolerance`` is the margin within which kernel and batch size could turn the verdict.
    """

    margin: Floats
    first_miss: npt.NDArray[np.int16]
    logprob: Floats
    nll: Floats
    entropy: Floats
    tolerance: float

    @property
    def memorized(self) -> npt.NDArray[np.bool_]:
        return self.first_miss < 0

    @property
    def ambiguous(self) -> npt.NDArray[np.bool_]:
        return np.abs(self.margin) <= self.tolerance  # NaN, a sure miss whose least margin is unknown, is not


class Engine(Protocol):
    """A loaded model. ``close`` gives its memory back."""

    tolerance: float

    def score(
        self, examples: Sequence[Example], extraction: Extraction, metrics: Metrics, advance: Callable[[int], None]
    ) -> Scores:
        """Scores of examples that are long enough; ``advance`` is told of every few that are done.

        Raises:
            EngineError: the model gives NaN, or does not fit into memory even one example at a time.
        """

    def decode(self, prefixes: Sequence[TokenIds], new_tokens: int) -> list[TokenIds]:
        """Greedy continuations by the engine's own decoding; EOS is an ordinary token."""

    def close(self) -> None: ...


def check_ids(examples: Sequence[Example], vocabulary: int, name: str) -> None:
    """Raise EngineError for ids that a model of so many tokens does not have."""
    for example in examples:
        least, most = int(example.ids.min()), int(example.ids.max())
        if least < 0 or most >= vocabulary:
            raise EngineError(
                f"Token ids from 0 to below {vocabulary} were expected by model {name}, and example {example.position}"
                f" holds {least if least < 0 else most}: the ids were made with another tokenizer."
            )
