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
class Screening:
    """Counts of examples that a fast dtype screened and float32 decided.

    Attributes:
        screened: Number of examples that the fast dtype scored; 0 if the model does not run in it.
        decided: Number of examples that float32 scored.
        changed: Number of these whose verdict float32 changed.
        band: Half the width, in logits, of the band around zero in which every example was decided.
        widened: Number of times that the control sample widened the band.
    """

    screened: int
    decided: int
    changed: int
    band: float
    widened: int

    def __add__(self, other: Screening) -> Screening:
        """The counts of two runs together, and the wider band."""
        return Screening(
            self.screened + other.screened,
            self.decided + other.decided,
            self.changed + other.changed,
            max(self.band, other.band),
            self.widened + other.widened,
        )


@dataclass(frozen=True)
class Windows:
    """What the whole windows of n examples tell, each array of shape ``[n]``.

    Attributes:
        margins: Of each example the margin of every token but the first, in logits, float32 ``[tokens − 1]``.
        unsure_within: Margin, in logits, within which a token of the example may be hit or missed by another kernel,
            batch size, or the dtype that decides.
        min_k: Mean of the least fifth of the log-probabilities of the window's predicted tokens, in nats.
        min_k_plus: The same of log-probabilities that are standardized by mean and deviation of their distribution.
    """

    margins: npt.NDArray[np.object_]
    unsure_within: Floats
    min_k: Floats
    min_k_plus: Floats


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
        screening: Counts of a run in two dtypes; None of a run in one.
        windows: What is known of every predicted token; None where verdicts alone were scored.
    """

    margin: Floats
    first_miss: npt.NDArray[np.int16]
    logprob: Floats
    nll: Floats
    entropy: Floats
    tolerance: float
    screening: Screening | None = None
    windows: Windows | None = None

    @property
    def memorized(self) -> Flags:
        return self.first_miss < 0

    @property
    def ambiguous(self) -> Flags:
        # NaN compares as false: it stands for a sure miss whose least margin is unknown.
        return np.abs(self.margin) <= self.tolerance


@dataclass(frozen=True)
class NearVerdicts:
    """Which of n examples a model recites nearly verbatim.

    Attributes:
        near: Whether the greedy continuation is near the suffix, bool ``[n]``.
        ambiguous: Whether another kernel or batch size could change that, bool ``[n]``.
    """

    near: Flags
    ambiguous: Flags


SCORE_ARRAYS = ("margin", "first_miss", "logprob", "nll", "entropy")
WINDOW_ARRAYS = ("margins", "unsure_within", "min_k", "min_k_plus")


def unknown_scores(examples: int, tolerance: float) -> Scores:
    """Scores of which nothing is known yet, to be filled by `put_scores`."""
    margin, logprob, nll, entropy, *others = (np.full(examples, np.nan, np.float32) for _ in range(7))
    windows = Windows(np.full(examples, None, np.object_), *others)
    return Scores(margin, np.full(examples, -1, np.int16), logprob, nll, entropy, tolerance, windows=windows)


def verdict_scores(margin: Floats, first_miss: npt.NDArray[np.int16], tolerance: float) -> Scores:
    """Scores of which the verdicts alone are known."""
    unknown = np.full(len(margin), np.nan, dtype=np.float32)
    return Scores(margin, first_miss, unknown, unknown, unknown, tolerance)


def take_scores(scores: Scores, rows: npt.NDArray[np.intp] | slice) -> Scores:
    """A copy of the scores of some examples."""
    margin, first_miss, logprob, nll, entropy = (getattr(scores, name)[rows].copy() for name in SCORE_ARRAYS)
    windows = scores.windows
    if windows is not None:
        windows = Windows(*(getattr(windows, name)[rows].copy() for name in WINDOW_ARRAYS))
    return Scores(margin, first_miss, logprob, nll, entropy, scores.tolerance, windows=windows)


def put_scores(scores: Scores, rows: npt.NDArray[np.intp], values: Scores) -> None:
    """Set the scores of some examples in place; those of windows where both know them."""
    for name in SCORE_ARRAYS:
        getattr(scores, name)[rows] = getattr(values, name)
    if scores.windows is not None and values.windows is not None:
        for name in WINDOW_ARRAYS:
            getattr(scores.windows, name)[rows] = getattr(values.windows, name)


def ignore_progress(examples: int) -> None:
    """Report nothing, of examples that were counted before."""


class Engine(Protocol):
    """A loaded model.

    Attributes:
        tolerance: That of its scores, in logits.
        sure_miss: Verdicts of an example are scored no further than a margin below the negative of this, in logits.
    """

    tolerance: float
    sure_miss: float

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
    if not examples:
        return
    ids = np.concatenate([example.ids for example in examples])
    if ids.min() >= 0 and ids.max() < vocabulary:
        return
    for example in examples:
        lowest, highest = int(example.ids.min()), int(example.ids.max())
        if lowest < 0 or highest >= vocabulary:
            raise EngineError(
                f"Token ids from 0 to below {vocabulary} were expected by model {name}, and example {example.position}"
                f" holds {lowest if lowest < 0 else highest}: the ids were made with another tokenizer, or"
                " are read from a .bin file as another type than they were written in."
            )


def files_changed(model: str) -> EngineError:
    """The error that the files of a model are no longer those that were digested."""
    return EngineError(
        f"Model {model} was expected to stay as it is during an audit, and its files were changed while it was loaded;"
        " audit it again once it is saved."
    )
