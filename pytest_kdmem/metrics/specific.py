"""What a model memorized and could not say without the example's own prefix."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import pyarrow as pa

from pytest_kdmem.base.arrays import Flags
from pytest_kdmem.errors import ComparisonError, SpecError
from pytest_kdmem.metrics.estimate import Estimate
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.metrics.memorized_flags import MemorizedFlags
from pytest_kdmem.metrics.share import estimate_share
from pytest_kdmem.scoring.unrelated_prefixes import DRAWS
from pytest_kdmem.specs.sampler import Draws


def check_likely(n: int, p: float) -> None:
    """Check a number of samples, and the probability that they contain a suffix.

    Raises:
        SpecError: n is less than 1, or p is not between 0 and 1.
    """
    if not n >= 1 or not 0 < p < 1:
        raise SpecError(f"n ≥ 1 and 0 < p < 1 were expected of a likely suffix; found n = {n}, p = {p}.")


@dataclass(frozen=True, eq=False)
class Specific:
    """The distinct memorized examples, apart from those that are common.

    A memorized example is *common* if the model also produces its suffix without its own prefix: after each of three
    unrelated prefixes of the training set it is recited, or n samples would contain it with a probability of at least
    p. Prior-aware memorization (Tiwari et al. 2026, arXiv 2602.18733) asks in the same way whether a suffix depends on
    its prefix, without the further trainings of counterfactual memorization (Zhang et al. 2023, arXiv 2112.12938).
    "In n samples with probability p" is the measure of Hayes et al. (2025, arXiv 2410.19482).

    Attributes:
        memorization: What the model recites.
        rows: Scores of suffixes alone, by `scoring.without_prefix.SUFFIX_SCHEMA`.
        n: Number of samples.
        p: Least probability that the samples contain the suffix, for the suffix to count as likely.

    Raises:
        SpecError: n is less than 1, or p is not between 0 and 1.
    """

    memorization: Memorization
    rows: pa.Table
    n: int = 100
    p: float = 0.5

    def __post_init__(self) -> None:
        check_likely(self.n, self.p)

    def __bool__(self) -> bool:
        raise ComparisonError("What is specific is neither true nor false; compare its rate with a threshold.")

    def __repr__(self) -> str:
        return f"Specific({self.memorization.subject}: {self.rate})"

    @property
    def flags(self) -> MemorizedFlags:
        """Whether each of the n distinct examples is memorized and not common."""
        return MemorizedFlags.from_memorization(self.memorization) - self._comes_alone

    @property
    def rate(self) -> Estimate:
        """Number of examples that are memorized and not common / number of distinct scored examples."""
        flags = self.flags
        metric = f"({self.n}, {self.p:g})-specific memorization rate"
        return self.memorization.rate_of(metric, flags.by_column, len(flags.memorized))

    @property
    def common_share(self) -> Estimate:
        """Number of examples that are memorized and common / number of memorized examples."""
        memorized = MemorizedFlags.from_memorization(self.memorization)
        return estimate_share(memorized, self._comes_alone, partial(self.memorization.proportion, "common share"))

    @property
    def examples(self) -> list[int]:
        """Positions in the training set of the examples that are memorized and not common."""
        return self._ids(self.flags.memorized)

    @property
    def common_examples(self) -> list[int]:
        """Positions in the training set of the examples that are memorized and common."""
        return self._ids(self.memorization.flags("memorized") & self._comes_alone.memorized)

    @property
    def undrawn(self) -> int:
        """Number of memorized examples with too few unrelated prefixes in the set; none of them counts as common."""
        drawn = {row["digest"]: len(row["logprob"]) for row in self.rows.select(["digest", "logprob"]).to_pylist()}
        memorized = self._digests(self.memorization.flags("memorized"))
        return sum(drawn[digest] < DRAWS for digest in memorized)

    @cached_property
    def _comes_alone(self) -> MemorizedFlags:
        """Whether the suffix of each distinct example comes without its prefix; only recited ones were asked for."""
        possible = self.memorization.flags("possible")
        by_digest = {row["digest"]: row for row in self.rows.to_pylist()}
        verdicts = [self._verdicts(by_digest[digest]) for digest in self._digests(possible)]
        columns = []
        for column in range(3):
            flags = np.zeros(len(possible), dtype=bool)
            flags[possible] = [verdict[column] for verdict in verdicts]
            columns.append(flags)
        return MemorizedFlags(*columns)

    def _verdicts(self, row: dict[str, Any]) -> tuple[bool, bool, bool]:
        """Whether a suffix comes after each of its unrelated prefixes: as observed, surely, and possibly."""
        least = Draws(self.n, self.p).least_logprob
        scores = self.memorization.scores
        rounding = scores.tolerance * scores.extraction.suffix_tokens  # of the sum of as many log-probabilities
        draws = list(zip(row["memorized"], row["ambiguous"], row["logprob"], strict=True))
        if len(draws) < DRAWS:
            return False, False, False
        return (
            all(recited or logprob >= least for recited, _, logprob in draws),
            all((recited and not tied) or logprob - rounding >= least for recited, tied, logprob in draws),
            all(recited or tied or logprob + rounding >= least for recited, tied, logprob in draws),
        )

    def _digests(self, flags: Flags) -> list[str]:
        first = self.memorization.distinct_rows.at_first(self.memorization.scores.rows["digest"])
        digests: list[str] = first.filter(pa.array(flags)).to_pylist()
        return digests

    def _ids(self, flags: Flags) -> list[int]:
        ids: list[int] = self.memorization.example_ids[flags].tolist()
        return ids
