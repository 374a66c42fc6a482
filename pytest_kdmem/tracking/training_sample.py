"""Reads a sample of a training set as the tokenizer of a training does, and estimates what a model recites of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.corpus.shards import CorpusReader, CorpusRecord
from pytest_kdmem.corpus.sources import check_source
from pytest_kdmem.corpus.tokenizer import tokenizer_in_memory
from pytest_kdmem.engines.protocol import Scores
from pytest_kdmem.engines.transformers.live import LiveModel
from pytest_kdmem.metrics.bounds import Counts, estimate_proportion
from pytest_kdmem.metrics.estimate import Estimate
from pytest_kdmem.specs.declared import Extraction, TrainingSet


@dataclass(frozen=True, eq=False)
class TrainingSample:
    """Distinct examples of a training set that hold prefix and suffix.

    Args:
        examples: The examples, in the order of the set.
        extraction: Lengths of prefix and suffix.
        record: Counts of the whole set.
    """

    examples: tuple[Example, ...]
    extraction: Extraction
    record: CorpusRecord

    def rate(self, model: LiveModel, subject: str, confidence: float) -> Estimate:
        """The memorization rate of a model that is being trained.

        Raises:
            EngineError: The model cannot be scored.
        """
        return self.estimate(model.verdicts(self.examples, self.extraction), subject, confidence)

    def estimate(self, scores: Scores, subject: str, confidence: float) -> Estimate:
        """The memorization rate by the scores of the examples, with the same bounds as in an audit."""
        memorized, ambiguous = scores.memorized, scores.ambiguous
        counts = Counts(
            k=int(memorized.sum()),
            n=len(memorized),
            fewest=int((memorized & ~ambiguous).sum()),
            most=int((memorized | ambiguous).sum()),
            ambiguous=int(ambiguous.sum()),
        )
        rate = estimate_proportion(
            "memorization rate", subject, counts, exhaustive=self.record.exhaustive, confidence=confidence
        )
        return replace(rate, too_short=self.record.too_short)


def read_sample(training_set: TrainingSet, tokenizer: Any, extraction: Extraction, *, offline: bool) -> TrainingSample:
    """Read the sample that a training set declares.

    Args:
        training_set: The training set, with ``sample`` and ``seed``.
        tokenizer: The tokenizer of transformers that the training uses; None if it has none.
        extraction: Lengths of prefix, suffix and window.
        offline: Never open a network connection.

    Raises:
        DataError: The training set cannot be read, or no example is long enough.
        SpecError: The training set is not declared as this tokenizer reads it.
    """
    check_source(training_set)
    read = None if tokenizer is None else tokenizer_in_memory(tokenizer, training_set.tokenizer)
    reader = CorpusReader(training_set, read, extraction, offline=offline)
    examples = tuple(chain.from_iterable(shard.examples for shard in reader))
    return TrainingSample(examples, extraction, reader.record)
