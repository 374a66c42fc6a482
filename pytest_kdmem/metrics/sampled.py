"""What may be extracted from a model as it is sampled: examples whose suffix n samples contain with probability p."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from pytest_kdmem.base.arrays import Flags
from pytest_kdmem.errors import ComparisonError, EngineError
from pytest_kdmem.metrics.estimate import Estimate
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.metrics.memorized_flags import MemorizedFlags
from pytest_kdmem.scoring.sampled import may_be_extractable
from pytest_kdmem.specs.sampler import DeployedSampler, Draws


@dataclass(frozen=True, eq=False)
class Extractable:
    """The distinct examples that are (n, p)-extractable under a sampler.

    Under greedy decoding all samples are the same, so that what is memorized is extractable, and nothing else.

    Attributes:
        memorization: What the model recites greedily.
        draws: How many samples are drawn, and how probable an extraction is.
        deployed: The sampler, and whence it was read.
        rows: Log-probabilities by `scoring.sampled.SAMPLED_SCHEMA`, a row for each distinct example that
            `may_be_extractable`; None if the sampler is greedy.
    """

    memorization: Memorization
    draws: Draws
    deployed: DeployedSampler
    rows: pa.Table | None

    def __bool__(self) -> bool:
        raise ComparisonError("What is extractable is neither true nor false; compare its rate with a threshold.")

    def __repr__(self) -> str:
        return f"Extractable({self.memorization.subject}: {self.rate})"

    @cached_property
    def flags(self) -> MemorizedFlags:
        """Whether each of the n distinct examples is extractable.

        Raises:
            EngineError: An example that may be extractable has no row.
        """
        if self.rows is None:
            return MemorizedFlags.from_memorization(self.memorization)
        distinct, scores = self.memorization.distinct_rows, self.memorization.scores
        is_open = may_be_extractable(scores, self.deployed.sampler, self.draws)
        open_flags = distinct.of_any_copy(pa.chunked_array([pa.array(is_open)]))
        row_of = {digest: row for row, digest in enumerate(self.rows["digest"].to_pylist())}
        digests = distinct.at_first(scores.rows["digest"]).filter(pa.array(open_flags)).to_pylist()
        if missing := [digest for digest in digests if digest not in row_of]:
            raise EngineError(
                f"Probabilities of all {len(digests)} examples that may be extractable were expected of"
                f" {self.memorization.subject}, and {len(missing)} are missing; audit it again."
            )
        rows = [row_of[digest] for digest in digests]
        return MemorizedFlags(*(self._reach(column, rows, open_flags) for column in ("logprob", "least", "most")))

    def _reach(self, column: str, rows: list[int], is_open: Flags) -> Flags:
        """Whether a log-probability of each of the n distinct examples is that of an extractable one."""
        flags = np.zeros(len(is_open), dtype=bool)
        assert self.rows is not None
        flags[is_open] = self.rows[column].to_numpy()[rows] >= self.draws.least_logprob
        return flags

    @property
    def rate(self) -> Estimate:
        """Number of extractable examples / number of distinct scored examples."""
        metric = f"{self.draws}-extractable rate {self.deployed}"
        return self.memorization.rate_of(metric, self.flags.by_column, len(self.flags.memorized))

    @property
    def examples(self) -> list[int]:
        """Positions in the training set of the extractable examples, each that of its first copy."""
        ids: list[int] = self.memorization.example_ids[self.flags.memorized].tolist()
        return ids
