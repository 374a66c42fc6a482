"""Decides from the losses of one model whether a training set was read as training read it.

Training text is likelier to a model the way it was read in training. So the losses of some documents as read are held
against those of the same documents read otherwise, document by document.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from pytest_kdmem.base.typed_json import from_json, to_json
from pytest_kdmem.corpus.own_text import OWN
from pytest_kdmem.specs.other_readings import READINGS, UNSURE

# Nats a token by which another reading must be likelier; with and without a beginning token, the shipped models differ
# by 0.015 at most.
LEAST_GAIN = 0.05
# The same of documents behind others, which may be of one subject with them, so that they are likelier to any model,
# and of answers without a template, whose special tokens a model may never have seen.
LEAST_GAIN_IN_BLOCKS = 0.5
# The same if there are fewer documents than can show that the gain is no chance.
LEAST_GAIN_OF_FEW = 0.5
FEW = 4
# Either the mean gain lies so many standard errors above zero (99.7 % for eight documents), or what some documents lose
# is at most this share of what the others gain: first blocks hardly differ between two ways to pack, and later ones do.
STANDARD_ERRORS = 4.0
MOST_LOST = 0.05
# Loss in nats below which a token is likelier than all others together, so that greedy decoding gives it.
SURE = math.log(2)
# Share of a uniform guess's loss, the logarithm of the vocabulary, below which a model knows a text, and from which on
# the text is as unlikely to it as noise.
KNOWN, UNLIKELY = 0.8, 0.95
# Share of a document's runs of tokens that its own text gives below which they are another tokenizer's.
FOREIGN = 0.9
# Nats a token by which text in its order is likelier than its shuffled tokens to a model that knows it.
LEAST_ORDER = 0.1
# Follows how many of the documents it is said of.
MIXED = (
    "documents are as unlikely as noise, and others are not: random strings such as canaries rightly are, and so are"
    " token ids of another tokenizer, which the model cannot recite"
)


@dataclass(frozen=True)
class Comparison:
    """Losses of the same documents or blocks as read and in another reading, in nats a token.

    Attributes:
        reading: Name of the other reading.
        as_read: Loss of each as read.
        otherwise: Loss of each in the other reading.
        greatest_as_read: Greatest loss of a token of each as read, in nats.
        greatest_otherwise: The same in the other reading.
    """

    reading: str
    as_read: tuple[float, ...]
    otherwise: tuple[float, ...]
    greatest_as_read: tuple[float, ...]
    greatest_otherwise: tuple[float, ...]

    def turned(self, reading: str) -> Comparison:
        """The same comparison from the other reading's side, with the name of the one that was read."""
        return Comparison(reading, self.otherwise, self.as_read, self.greatest_otherwise, self.greatest_as_read)

    @property
    def gain(self) -> float:
        """Mean by which the other reading is likelier, in nats a token."""
        return float(np.mean(self.as_read) - np.mean(self.otherwise))

    @property
    def is_sure(self) -> bool:
        """Whether the gain is large, and too regular over the documents to be chance."""
        gains = np.subtract(self.as_read, self.otherwise)
        lost, won = -gains[gains < 0].sum(), gains[gains > 0].sum()
        if len(gains) < FEW:
            return bool(lost == 0) and self.gain >= LEAST_GAIN_OF_FEW
        error = float(gains.std(ddof=1)) / math.sqrt(len(gains))
        one_sided = lost <= MOST_LOST * won and (gains > 0).sum() >= FEW
        least = LEAST_GAIN_IN_BLOCKS if self.reading in UNSURE and not self.recites_more else LEAST_GAIN
        return self.gain >= least and bool(one_sided or self.recites_more or self.gain > STANDARD_ERRORS * error)

    @property
    def recites_more(self) -> bool:
        """Whether the model recites some documents in the other reading alone, and none as read alone."""
        as_read, otherwise = (np.less(losses, SURE) for losses in (self.greatest_as_read, self.greatest_otherwise))
        return bool((otherwise & ~as_read).sum() >= FEW and not (as_read & ~otherwise).any())


@dataclass(frozen=True)
class ReadingLosses:
    """Losses of one model over the documents that check a reading, in nats a token.

    Attributes:
        vocabulary: Number of tokens of the model.
        as_read: Loss of each document as read.
        shuffled: Loss of the first of them with their tokens in random order.
        comparisons: The other readings.
        own_text: For each row of token ids, by `share_of_own_text`, whether they are those of its own text; empty if
            the documents are texts.
    """

    vocabulary: int
    as_read: tuple[float, ...]
    shuffled: tuple[float, ...]
    comparisons: tuple[Comparison, ...]
    own_text: tuple[float, ...]

    @property
    def uniform(self) -> float:
        """Loss of a uniform guess."""
        return math.log(max(2, self.vocabulary))

    @property
    def is_noise(self) -> bool:
        """Whether the documents as read are as unlikely to the model as noise, and none of them is known to it."""
        order = float(np.mean(self.shuffled) - np.mean(self.as_read[: len(self.shuffled)]))
        is_unlikely = self.is_unlikely or order < LEAST_ORDER
        return is_unlikely and min(self.as_read) >= KNOWN * self.uniform

    @property
    def is_unlikely(self) -> bool:
        """Whether the documents as read are as unlikely as a uniform guess, on average."""
        return bool(np.mean(self.as_read) >= UNLIKELY * self.uniform)

    @property
    def unlikely(self) -> int:
        """Number of documents as read that are as unlikely to the model as noise."""
        return sum(loss >= UNLIKELY * self.uniform for loss in self.as_read)

    @property
    def is_mixed(self) -> bool:
        """Whether some of the documents are as unlikely as noise, and others are not."""
        return 0 < self.unlikely < len(self.as_read)

    @property
    def foreign(self) -> int:
        """Number of documents as read that the model does not know and that are no text of the tokenizer, where those
        that it knows are.
        """
        if not self.own_text:
            return 0
        shares = list(zip(self.as_read, self.own_text, strict=True))
        familiar_shares = [share for loss, share in shares if loss < KNOWN * self.uniform]
        if not familiar_shares or np.median(familiar_shares) < OWN:  # the tokenizer may not give back what it made
            return 0
        return sum(loss >= KNOWN * self.uniform and share < FOREIGN for loss, share in shares)

    def likelier(self, accepted: Collection[str] = ()) -> Comparison | None:
        """The reading by which the documents are clearly likelier to the model, by the most; None if there is none.

        Args:
            accepted: Names of readings that may be likelier.
        """
        clear = [
            comparison
            for comparison in self.comparisons
            if comparison.reading not in accepted
            and comparison.is_sure
            and np.mean(comparison.otherwise) < KNOWN * self.uniform
        ]
        return max(clear, key=lambda comparison: comparison.gain, default=None)

    def to_json(self) -> dict[str, Any]:
        """The losses as a JSON object."""
        content: dict[str, Any] = to_json(self)
        return content

    @staticmethod
    def from_json(content: Any) -> ReadingLosses:
        """Decode what `to_json` returns.

        Raises:
            TypeError, ValueError: The content is something else.
        """
        return from_json(ReadingLosses, content)


def likelier_error(comparison: Comparison, model: str, training_set: str) -> str:
    """Say which reading is likelier to a model, by how much, and what to declare."""
    words, remedy = READINGS[comparison.reading]
    count = len(comparison.as_read)
    return (
        f"Training set {training_set} was expected to be read as training read it, and model {model} finds it more"
        f" likely {words}, by {comparison.gain:.2f} nats a token (a loss of {np.mean(comparison.otherwise):.2f}"
        f" instead of {np.mean(comparison.as_read):.2f} over {count} {'pieces' if count != 1 else 'piece'}): {remedy};"
        f" if training did read it as declared, accept this with --kdmem-accept-reading {comparison.reading}."
    )


def likelier_warning(comparison: Comparison) -> str:
    """Say that another reading is likelier, and was accepted."""
    words, _ = READINGS[comparison.reading]
    return f"the text is more likely {words}, by {comparison.gain:.2f} nats a token, which was accepted"


def noise_warning(losses: ReadingLosses) -> str:
    """Say that a text is as unlikely as noise."""
    return (
        f"the text is as unlikely as noise (loss {np.mean(losses.as_read):.2f} nats a token, where a uniform guess has"
        f" {losses.uniform:.2f}): the model was trained on other text, or its token ids are of another tokenizer, so"
        " it proves nothing that none of it is recited"
    )


def foreign_warning(losses: ReadingLosses) -> str:
    """Say that some of the documents are token ids of another tokenizer."""
    return (
        f"{losses.foreign} of {len(losses.as_read)} documents are about as unlikely as noise, where others are not,"
        " and their token ids are not those that the tokenizer gives for their own text: they come from another"
        " tokenizer, so it proves nothing that none of them is recited"
    )


def mixed_warning(losses: ReadingLosses) -> str:
    """Say that some of the documents are as unlikely as noise, and others are not."""
    return f"{losses.unlikely} of {len(losses.as_read)} {MIXED}"
