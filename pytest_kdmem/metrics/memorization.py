"""Derive what one model memorized, over distinct examples, from its score table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pytest_kdmem.base.arrays import Flags
from pytest_kdmem.corpus.groups import Groups
from pytest_kdmem.errors import ComparisonError, SpecError
from pytest_kdmem.metrics.bounds import Counts, estimate_mean
from pytest_kdmem.metrics.by_class import ClassMemorization, of_unknown, recited_secrets
from pytest_kdmem.metrics.context import AtPrefix, longest_run, rates_at
from pytest_kdmem.metrics.estimate import Estimate
from pytest_kdmem.metrics.flags import FLAG_COLUMNS, FlagColumn
from pytest_kdmem.metrics.parts import InParts
from pytest_kdmem.metrics.recorder import kept_if_broken
from pytest_kdmem.metrics.window_hits import Tokens, WindowHits
from pytest_kdmem.secrets.examples import SecretsOfExamples
from pytest_kdmem.specs.sampler import Draws, Sampler


class Sampling(Protocol):
    """Runs models again under samplers."""

    def extractable(self, memorization: Memorization, draws: Draws, sampler: Sampler | None) -> Estimate:
        """Estimate the rate of what is extractable under a sampler; None is the one that the model is deployed with."""


@dataclass(frozen=True, eq=False)
class Memorization(InParts):
    """What a model memorized of a training set: M(m) and its rate.

    Exact duplicates count as one example, which is memorized if any of its copies is.

    Attributes:
        secrets: Searches the text of recited examples; None outside of audits.
        groups: Groups of the training set's rows; None if it names no column of them.
        sampling: Runs the model under samplers; None outside of audits.
        beyond: What the strata of a stratified sample hold beyond the random one, on which all other figures rest; None
            of any other set.
        least_share: Least share of the set's examples that a rate at another prefix must be of to pass a gate.
    """

    secrets: SecretsOfExamples | None = field(default=None, repr=False)
    groups: Groups | None = None
    sampling: Sampling | None = field(default=None, repr=False)
    beyond: Memorization | None = field(default=None, repr=False)
    least_share: float = 0.5

    def __bool__(self) -> bool:
        raise ComparisonError("A memorization is neither true nor false; compare its rate with a threshold.")

    def __repr__(self) -> str:
        return f"Memorization({self.subject}: {self.rate})"

    @property
    def distinct(self) -> pa.Table:
        """One row for each distinct scored example, at the position of its first copy.

        The columns are ``example_id``, ``digest``, ``copies``, ``memorized`` (the observed verdict), ``sure``
        (memorized and not ambiguous in at least one copy) and ``possible`` (memorized or ambiguous in any copy).
        """
        rows, distinct = self.scores.rows, self.distinct_rows
        columns = {name: distinct.at_first(rows[name]) for name in ("example_id", "digest")}
        columns["copies"] = pa.chunked_array([self.copies])
        return pa.table(columns | {name: self.flags(name) for name in FLAG_COLUMNS})

    def flags(self, column: FlagColumn) -> Flags:
        """Return a column of `distinct` as bool ``[n]``."""
        return self._flags[column]

    @cached_property
    def _flags(self) -> dict[FlagColumn, Flags]:
        memorized, ambiguous = self.scores.rows["memorized"], self.scores.rows["ambiguous"]
        columns: dict[FlagColumn, pa.ChunkedArray] = {
            "memorized": memorized,
            "sure": pc.and_(memorized, pc.invert(ambiguous)),
            "possible": pc.or_(memorized, ambiguous),
        }
        return {name: self.distinct_rows.of_any_copy(column) for name, column in columns.items()}

    @property
    def count(self) -> int:
        """|M(m)|: number of distinct memorized examples."""
        return int(self.flags("memorized").sum())

    @property
    def ambiguous(self) -> int:
        """Number of distinct examples whose verdict could differ with another kernel or batch size."""
        return len(self.ambiguous_examples)

    @property
    def examples(self) -> list[int]:
        """Positions in the training set of the memorized examples, each that of its first copy."""
        return self._ids(self.flags("memorized"))

    @property
    def ambiguous_examples(self) -> list[int]:
        """Positions in the training set of the ambiguous examples, each that of its first copy."""
        return self._ids(self.flags("possible") & ~self.flags("sure"))

    @property
    def rate(self) -> Estimate:
        """|M(m)| / number of distinct scored examples."""
        return self._rate("memorization rate", self._flags)

    @property
    def loss(self) -> Estimate:
        """Mean over distinct examples of the mean negative log-likelihood of the window, in nats per token."""
        loss = estimate_mean(
            "loss",
            self.label,
            self.column("nll"),
            exhaustive=self.scores.record.exhaustive,
            confidence=self.confidence,
        )
        return self._of_model(loss)

    @property
    def perplexity(self) -> float:
        """exp(loss), over distinct examples."""
        return float(np.exp(self.loss.value))

    def extractable(
        self,
        n: int,
        p: float,
        *,
        temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
    ) -> Estimate:
        """Estimate the rate of (n, p)-extractable examples: n samples contain the suffix with probability p or more.

        The samples are drawn by the sampler that the arguments name, in which what is not named is off, or by that of
        the model's generation_config.json if none is given.

        Args:
            n: Number of samples.
            p: The probability.
            temperature: What logits are divided by; 0 is greedy decoding.
            top_k: Number of the most likely tokens that are kept.
            top_p: Probability that the smallest kept set of most likely tokens must reach.

        Raises:
            SpecError: An argument is out of its range, the file names what no probability is computed of, verdicts
                alone were scored, or this memorization belongs to no audit.
            KdmemError: The model cannot be run again.
        """
        with kept_if_broken():
            draws = Draws(n, p)
            named: dict[str, Any] = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
            given = {name: value for name, value in named.items() if value is not None}
            if self.sampling is None:
                raise SpecError(
                    "Extractable examples were expected to be counted in an audit, which runs the model again, and this"
                    " memorization belongs to none."
                )
            return self.sampling.extractable(self, draws, Sampler(**given) if given else None)

    @property
    def has_windows(self) -> bool:
        """Whether all metrics were scored, and with them the hits at every token."""
        return "hits" in self.scores.rows.column_names

    @cached_property
    def window_hits(self) -> WindowHits:
        """What the hits at every token show about the n distinct examples.

        Raises:
            SpecError: Only verdicts were scored.
        """
        hits, unsure = (self._scored_column(name) for name in ("hits", "unsure"))
        tokens, suffix_at = (self.column(name).astype(np.int32) for name in ("tokens", "suffix_at"))
        return WindowHits(hits, unsure, tokens, suffix_at, self.scores.extraction)

    @cached_property
    def curve(self) -> tuple[tuple[int, Estimate], ...]:
        """The rates at prefixes of 25, 50, 75, … tokens and of the audit's own length, as far as any window goes."""
        lengths = self.window_hits.lengths
        return tuple((at.prefix_tokens, at.rate) for at in rates_at(self, lengths))

    def at_prefix(self, prefix_tokens: int) -> AtPrefix:
        """Return what is recited from the first tokens of examples, over those that have a suffix after them.

        In conversations, these are the first tokens of the answer, after everything before it.

        Raises:
            SpecError: No example is that long, or only verdicts were scored.
        """
        self.window_hits.check(prefix_tokens, self.subject)
        return rates_at(self, [prefix_tokens])[0]

    @property
    def longest_runs(self) -> Tokens:
        """Length in tokens of the longest run of hits of each distinct example, int32 ``[n]``."""
        return self.window_hits.longest_runs["memorized"]

    @property
    def longest_run(self) -> Estimate:
        """The greatest of `longest_runs`, in tokens."""
        return longest_run(self)

    def of_class(self, secret_class: str) -> ClassMemorization:
        """Return what is recited of a class of secrets: ``email``, ``phone``, ``card``, ``key``, ``name``, ``address``.

        Only the text of examples that are recited, or may be, is searched: the suffix, and what follows it up to the
        first miss. Where verdicts alone were scored, and a secret stands behind the suffix, comparisons that would hold
        are inconclusive.

        Raises:
            SpecError: There is no such class, or it cannot be looked for.
            DataError: The training set can no longer be read.
        """
        is_recited = self.flags("possible") | self.flags("memorized")
        with kept_if_broken():
            secrets = recited_secrets(self, is_recited, secret_class)
        flags = {name: column & secrets.by_reading[name] for name, column in self._flags.items()}
        rate = self._rate(f"{secret_class} memorization rate", flags)
        not_shown = rate.not_shown or of_unknown(int(secrets.unknown.sum()), secret_class)
        return ClassMemorization(
            secret_class,
            replace(rate, not_shown=not_shown),
            self._ids(flags["memorized"]),
            self._ids(flags["possible"] & ~flags["sure"]),
        )

    def _rate(self, metric: str, flags: Mapping[FlagColumn, Flags]) -> Estimate:
        """Rate of the examples that flags ``[n]`` mark, over all distinct examples."""
        return self.rate_of(metric, flags, len(self.distinct_rows))

    def rate_of(self, metric: str, flags: Mapping[FlagColumn, Flags], measured: int) -> Estimate:
        """Rate of the examples that flags ``[n]`` mark, over those of the n that could be measured."""
        recited, fewest, most = (int(flags[name].sum()) for name in FLAG_COLUMNS)
        ambiguous = int((flags["possible"] & ~flags["sure"]).sum())
        rate = self.proportion(metric, Counts(recited, measured, fewest, most, ambiguous))
        return replace(rate, too_short=rate.too_short + len(self.distinct_rows) - measured)
