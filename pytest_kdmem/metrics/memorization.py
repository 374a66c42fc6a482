"""Derive what one model memorized, over distinct examples, from its score table."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pytest_kdmem.base.arrays import Flags
from pytest_kdmem.errors import ComparisonError, SpecError
from pytest_kdmem.metrics.bounds import Counts, estimate_mean, estimate_proportion
from pytest_kdmem.metrics.estimate import Estimate
from pytest_kdmem.scoring.table import ScoreTable


@dataclass(frozen=True, eq=False)
class Memorization:
    """What a model memorized of a training set: M(m) and its rate.

    Exact duplicates count as one example, which is memorized if any of its copies is.

    Attributes:
        subject: Role or name of the model.
        scores: Score table of the model over the training set.
        confidence: Confidence level of each one-sided bound.
        other_set: Name of the data set if it is not one that the audit declares, otherwise empty.
    """

    subject: str
    scores: ScoreTable
    confidence: float = 0.95
    other_set: str = ""

    def __bool__(self) -> bool:
        raise ComparisonError("A memorization is neither true nor false; compare its rate with a threshold.")

    def __repr__(self) -> str:
        return f"Memorization({self.subject}: {self.rate})"

    @property
    def label(self) -> str:
        """Name of the model in reports, with the name of the data set if it is not one that the audit declares."""
        return f"{self.subject} on {self.other_set}" if self.other_set else self.subject

    @cached_property
    def distinct(self) -> pa.Table:
        """One row for each distinct scored example, at the position of its first copy.

        The columns are ``example_id``, ``digest``, ``copies``, ``memorized`` (the observed verdict), ``sure``
        (memorized and not ambiguous in at least one copy) and ``possible`` (memorized or ambiguous in any copy).
        """
        rows = self.scores.rows
        scored = rows.filter(pc.equal(rows["status"], "scored"))
        scored = scored.append_column("sure", pc.and_(scored["memorized"], pc.invert(scored["ambiguous"])))
        scored = scored.append_column("possible", pc.or_(scored["memorized"], scored["ambiguous"]))
        grouped = scored.group_by("digest", use_threads=False).aggregate(
            [("example_id", "min"), ("example_id", "count"), ("memorized", "max"), ("sure", "max"), ("possible", "max")]
        )
        names = {"example_id_min": "example_id", "example_id_count": "copies"}
        names |= {f"{name}_max": name for name in ("memorized", "sure", "possible")}
        return grouped.rename_columns([names.get(name, name) for name in grouped.column_names]).sort_by("example_id")

    def flags(self, column: str) -> Flags:
        """Return a column of `distinct` as bool ``[n]``."""
        flags: Flags = self.distinct[column].to_numpy().astype(bool)
        return flags

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

    def _ids(self, flags: Flags) -> list[int]:
        ids: list[int] = self.distinct.filter(pa.array(flags))["example_id"].to_pylist()
        return ids

    @property
    def too_short(self) -> int:
        """Number of examples shorter than prefix + suffix, which no rate includes."""
        return self.scores.record.too_short

    @property
    def duplicates(self) -> int:
        """Number of scored rows that are exact copies of an earlier row."""
        return int(pc.sum(self.distinct["copies"]).as_py() or 0) - len(self.distinct)

    @property
    def rate(self) -> Estimate:
        """|M(m)| / number of distinct scored examples."""
        counts = Counts(
            k=self.count,
            n=len(self.distinct),
            fewest=int(self.flags("sure").sum()),
            most=int(self.flags("possible").sum()),
            ambiguous=self.ambiguous,
        )
        return self._proportion("memorization rate", counts)

    @property
    def loss(self) -> Estimate:
        """Mean over distinct examples of the mean negative log-likelihood of the window, in nats per token."""
        loss = estimate_mean(
            "loss",
            self.label,
            self._column("nll"),
            exhaustive=self.scores.record.exhaustive,
            confidence=self.confidence,
        )
        return replace(loss, too_short=self.too_short)

    @property
    def perplexity(self) -> float:
        """exp(loss), over distinct examples."""
        return float(np.exp(self.loss.value))

    def extractable(self, *, n: int, p: float) -> Estimate:
        """Estimate the rate of (n, p)-discoverable examples: n random samples contain the suffix with probability ≥ p.

        A suffix of probability q occurs at least once in n samples with probability 1 − (1 − q)^n.

        Raises:
            SpecError: n is less than 1, p is not between 0 and 1, or log-probabilities were not scored.
        """
        if not n >= 1 or not 0 < p < 1:
            raise SpecError(f"n ≥ 1 and 0 < p < 1 were expected of (n, p)-extraction; found n = {n}, p = {p}.")
        q = np.exp(self._column("logprob"))
        hits = -np.expm1(n * np.log1p(-np.minimum(q, 1 - 1e-16))) >= p
        return self._proportion(f"({n}, {p:g})-extractable rate", Counts(int(hits.sum()), len(hits)))

    def _proportion(self, metric: str, counts: Counts) -> Estimate:
        exhaustive = self.scores.record.exhaustive
        estimate = estimate_proportion(metric, self.label, counts, exhaustive=exhaustive, confidence=self.confidence)
        return replace(estimate, too_short=self.too_short)

    def _column(self, name: str) -> npt.NDArray[np.float64]:
        """Return a metric of each distinct example, float64 ``[n]``, read at its first copy.

        Raises:
            SpecError: Only verdicts were scored.
        """
        rows = self.scores.rows
        first_copies = rows.filter(pc.is_in(rows["example_id"], self.distinct["example_id"].combine_chunks()))
        if first_copies[name].null_count:
            raise SpecError(
                f"Column {name} was expected of {self.subject}, and only verdicts were scored;"
                ' ask for memorization(…, metrics="all").'
            )
        values: npt.NDArray[np.float64] = first_copies[name].to_numpy().astype(np.float64)
        return values
