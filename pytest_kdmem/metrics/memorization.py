"""Score table → Memorization: what one model recites, over distinct examples."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pytest_kdmem.base.arrays import Flags
from pytest_kdmem.errors import ComparisonError, SpecError
from pytest_kdmem.metrics.bounds import mean, proportion
from pytest_kdmem.metrics.estimate import Estimate
from pytest_kdmem.scoring.table import ScoreTable


@dataclass(frozen=True, eq=False)
class Memorization:
    """What a model memorized of a training set: M(m) and its rate.

    Exact duplicates are one example; it is memorized if any copy is found so. ``subject`` is the model's role or name,
    and ``elsewhere`` the set, where that is not the one its audit declares.
    """

    subject: str
    scores: ScoreTable
    confidence: float = 0.95
    elsewhere: str = ""

    def __bool__(self) -> bool:
        raise ComparisonError("A memorization is neither true nor false; compare its rate with a threshold.")

    def __repr__(self) -> str:
        return f"Memorization({self.subject}: {self.rate})"

    @property
    def place(self) -> str:
        """The model as reports call it, and the set where that is another than the audit's."""
        return f"{self.subject} on {self.elsewhere}" if self.elsewhere else self.subject

    @cached_property
    def distinct(self) -> pa.Table:
        """A row per distinct scored example, by first position: example_id, digest, copies, memorized, sure, possible.

        ``sure`` holds whatever kernel and batch size do, ``possible`` counts the ambiguous as memorized.
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
        """A column of `distinct` as booleans ``[n]``."""
        flags: Flags = self.distinct[column].to_numpy().astype(bool)
        return flags

    @property
    def count(self) -> int:
        """|M(m)|."""
        return int(self.flags("memorized").sum())

    @property
    def ambiguous(self) -> int:
        """Distinct examples whose verdict another kernel or batch size could turn."""
        return len(self.ambiguous_examples)

    @property
    def examples(self) -> list[int]:
        """Positions in the training set of the memorized examples, each at its first copy."""
        return self._ids(self.flags("memorized"))

    @property
    def ambiguous_examples(self) -> list[int]:
        """Positions of the ambiguous ones, recited or not."""
        return self._ids(self.flags("possible") & ~self.flags("sure"))

    def _ids(self, flags: Flags) -> list[int]:
        ids: list[int] = self.distinct.filter(pa.array(flags))["example_id"].to_pylist()
        return ids

    @property
    def too_short(self) -> int:
        """Examples shorter than prefix + suffix: counted, and left out of every rate."""
        return self.scores.record.too_short

    @property
    def duplicates(self) -> int:
        """Scored rows that are further copies of another."""
        return int(pc.sum(self.distinct["copies"]).as_py() or 0) - len(self.distinct)

    @property
    def rate(self) -> Estimate:
        """|M(m)| / distinct examples long enough."""
        return proportion(
            "memorization rate",
            self.place,
            k=self.count,
            n=len(self.distinct),
            fewest=int(self.flags("sure").sum()),
            most=int(self.flags("possible").sum()),
            ambiguous=self.ambiguous,
            exhaustive=self.scores.record.exhaustive,
            confidence=self.confidence,
        )

    @property
    def loss(self) -> Estimate:
        """Mean over distinct examples of the window's mean negative log-likelihood, in nats a token."""
        return mean(
            "loss",
            self.place,
            self._column("nll"),
            exhaustive=self.scores.record.exhaustive,
            confidence=self.confidence,
        )

    @property
    def perplexity(self) -> float:
        """exp(loss)."""
        return float(np.exp(self.loss.value))

    def extractable(self, *, n: int, p: float) -> Estimate:
        """Rate of (n, p)-discoverable examples: n random samples hold the suffix with probability p or more.

        A suffix of probability q appears at least once in n draws with probability 1 − (1 − q)^n.

        Raises:
            SpecError: n is no positive number, or p not between 0 and 1.
        """
        if not n >= 1 or not 0 < p < 1:
            raise SpecError(f"n ≥ 1 and 0 < p < 1 were expected of (n, p)-extraction; found n = {n}, p = {p}.")
        q = np.exp(self._column("logprob"))
        hits = -np.expm1(n * np.log1p(-np.minimum(q, 1 - 1e-16))) >= p
        return proportion(
            f"({n}, {p:g})-extractable rate",
            self.place,
            k=int(hits.sum()),
            n=len(hits),
            exhaustive=self.scores.record.exhaustive,
            confidence=self.confidence,
        )

    def _column(self, name: str) -> npt.NDArray[np.float64]:
        """A metric of each distinct example, at its first copy.

        Raises:
            SpecError: only verdicts were scored.
        """
        rows = self.scores.rows
        wanted = rows.filter(pc.is_in(rows["example_id"], self.distinct["example_id"].combine_chunks()))
        if wanted[name].null_count:
            raise SpecError(
                f"Column {name} was expected of {self.subject}, and only verdicts were scored;"
                ' ask for memorization(…, metrics="all").'
            )
        values: npt.NDArray[np.float64] = wanted[name].to_numpy().astype(np.float64)
        return values
