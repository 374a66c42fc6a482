"""Verdicts of a score table, held against what witnesses say of some of its rows: values and comparison.

A witness is an engine in one of two ways: ``scored``, its own pass over the chosen rows, or ``decoded``, its real
greedy decoding from their prefixes. Nothing is opened here; `confirming` hears the witnesses.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pytest_kdmem.base.typed_json import from_json, to_json
from pytest_kdmem.errors import EngineError

# Distinct rows to check: so many of the memorized and so many of the others, drawn beside the ambiguous ones.
CONTROL_SAMPLE = 64
# And so many of the ambiguous at most, as a broad band over a large set holds more than can be decoded.
AMBIGUOUS_SAMPLE = 4096

Way = Literal["scored", "decoded"]
Margins = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Claim:
    """What the table says of an example; ``margin`` in logits, None of a sure miss whose least margin is unknown."""

    example_id: int
    digest: str
    memorized: bool
    ambiguous: bool
    margin: float | None


@dataclass(frozen=True)
class Chosen:
    """The claims to check, by position, out of ``examples`` distinct scored ones, of which ``ambiguous`` are so."""

    claims: tuple[Claim, ...]
    examples: int
    ambiguous: int


@dataclass(frozen=True, eq=False)
class Statement:
    """What a witness says of the chosen rows, in order: verdicts ``[n]``, and margins ``[n]``, NaN where unknown."""

    engine: str
    way: Way
    memorized: npt.NDArray[np.bool_]
    margins: Margins


@dataclass(frozen=True)
class Disagreement:
    """An example whose verdict, ``claimed`` by the table, a witness ``found`` to be another.

    ``margin`` (logits) is the table's; where it knows none, that of the scored witness farthest from zero; else None.
    """

    example_id: int
    claimed: bool
    found: bool
    ambiguous: bool
    margin: float | None


@dataclass(frozen=True)
class Witness:
    """An engine and the way it was asked, over ``checked`` examples."""

    engine: str
    way: Way
    checked: int
    disagreements: tuple[Disagreement, ...]

    def __str__(self) -> str:
        return f"{self.engine} {self.way}"

    @property
    def outside(self) -> tuple[Disagreement, ...]:
        """Disagreements on examples that the table took for sure."""
        return tuple(one for one in self.disagreements if not one.ambiguous)


@dataclass(frozen=True)
class Confirmation:
    """How far witnesses bear a table out.

    ``examples`` and ``ambiguous`` count distinct examples of the set, ``checked`` and ``ambiguous_checked`` those that
    the witnesses were asked about. ``claimed_tolerance`` is the band of the run, in logits; ``greatest_difference`` how
    far the margins of one example lie apart at most, the table's and the scored witnesses', None where no two know it.
    """

    examples: int
    ambiguous: int
    checked: int
    ambiguous_checked: int
    witnesses: tuple[Witness, ...]
    claimed_tolerance: float
    greatest_difference: float | None

    @property
    def implied_tolerance(self) -> float | None:
        """The least power of two that spans the greatest difference and every disagreement of known margin; logits.

        0 where all margins are the same to the last bit; None where nothing tells.
        """
        seen = [
            abs(one.margin) for witness in self.witnesses for one in witness.disagreements if one.margin is not None
        ]
        if self.greatest_difference is not None:
            seen.append(self.greatest_difference)
        return power_of_two_above(max(seen)) if seen else None

    @property
    def within_claim(self) -> bool:
        """Whether the band that was claimed is as wide as what was seen."""
        return (self.implied_tolerance or 0.0) <= self.claimed_tolerance

    @property
    def outside(self) -> int:
        """Disagreements outside the band that was claimed, over all witnesses."""
        return sum(len(witness.outside) for witness in self.witnesses)

    def check(self, subject: str) -> None:
        """Raise EngineError if a disagreement lies outside the band that the run claimed, or nothing was checked."""
        if not self.checked or not self.witnesses:
            raise EngineError(
                f"Examples to confirm the scores of {subject} by were expected, and none was checked; audit without"
                " --kdmem-confirm, or over a set with examples long enough."
            )
        dissenting = [witness for witness in self.witnesses if witness.outside]
        if dissenting:
            witness, others = dissenting[0], len(dissenting) - 1
            first = witness.outside[0]
            margin = f"margin {first.margin:.3g}" if first.margin is not None else "margin unknown"
            also = f"; {others} of the other witnesses differ{'s' * (others == 1)} as well" if others else ""
            raise EngineError(
                f"Verdicts on {subject} were expected to be confirmed outside the ambiguous band of"
                f" {self.claimed_tolerance:.3g} logits, and {witness} differs on {len(witness.outside)} of"
                f" {self.checked} examples (first: example {first.example_id}, {margin}){also}: try"
                " --kdmem-dtype float32, or another --kdmem-engine."
            )

    def to_json(self) -> dict[str, Any]:
        content: dict[str, Any] = to_json(self)
        return content

    @staticmethod
    def from_json(content: Any) -> Confirmation:
        """Read what `to_json` gave; TypeError or ValueError if it is something else."""
        return from_json(Confirmation, content)


def choose(rows: pa.Table, *, seed: int) -> Chosen:
    """The ambiguous rows of a score table, and a seeded sample of the sure ones; of exact duplicates one."""
    columns = ["example_id", "digest", "memorized", "ambiguous", "margin"]
    scored = rows.filter(pc.equal(rows["status"], "scored")).select(columns)
    # Copies may lie in batches of different shape: the one that is ambiguous stands for them, else the first.
    scored = scored.sort_by([("ambiguous", "descending"), ("example_id", "ascending")])
    codes = [chunk.indices.to_numpy() for chunk in scored["digest"].dictionary_encode().chunks]
    _, first = np.unique(np.concatenate(codes or [np.empty(0, np.int32)]), return_index=True)
    distinct = scored.take(first).sort_by("example_id")
    memorized, ambiguous = (distinct[name].to_numpy().astype(bool) for name in ("memorized", "ambiguous"))
    random = np.random.default_rng(seed)
    drawn = [
        random.permutation(np.flatnonzero(pool))[:size]
        for pool, size in (
            (ambiguous, AMBIGUOUS_SAMPLE),
            (memorized & ~ambiguous, CONTROL_SAMPLE),
            (~memorized & ~ambiguous, CONTROL_SAMPLE),
        )
    ]
    claims = [
        Claim(**{**row, "margin": _finite(row["margin"])})
        for row in distinct.take(np.sort(np.concatenate(drawn))).to_pylist()
    ]
    return Chosen(tuple(claims), len(distinct), int(ambiguous.sum()))


def compare(chosen: Chosen, heard: Sequence[Statement], *, tolerance: float) -> Confirmation:
    """Hold the claims against what was heard of each.

    Args:
        tolerance: the band that the run claimed, in logits.
    """
    claims = chosen.claims
    claimed = np.array([math.nan if claim.margin is None else claim.margin for claim in claims], dtype=np.float64)
    margins = np.stack([claimed, *(statement.margins for statement in heard)])
    margins[~np.isfinite(margins)] = np.nan
    shared = margins[:, np.isfinite(margins).sum(axis=0) >= 2]
    apart = np.nanmax(shared, axis=0) - np.nanmin(shared, axis=0) if shared.size else None
    witnesses = []
    for statement in heard:
        differing = [
            Disagreement(claim.example_id, claim.memorized, bool(found), claim.ambiguous, _telling(column))
            for claim, found, column in zip(claims, statement.memorized, margins.T, strict=True)
            if found != claim.memorized
        ]
        witnesses.append(Witness(statement.engine, statement.way, len(statement.memorized), tuple(differing)))
    return Confirmation(
        examples=chosen.examples,
        ambiguous=chosen.ambiguous,
        checked=len(claims),
        ambiguous_checked=sum(claim.ambiguous for claim in claims),
        witnesses=tuple(witnesses),
        claimed_tolerance=tolerance,
        greatest_difference=float(apart.max()) if apart is not None else None,
    )


def power_of_two_above(value: float) -> float:
    """The least power of two that is at least a finite ``value`` of 0 or more; 0 of 0."""
    mantissa, exponent = math.frexp(value)  # value = mantissa · 2**exponent, mantissa in [0.5, 1)
    return math.ldexp(0.5 if mantissa == 0.5 else math.ceil(mantissa), exponent)


def _telling(margins: Margins) -> float | None:
    """Of one example's margins, the table's first: its own, or the witnesses' farthest from zero."""
    known = margins[np.isfinite(margins)]
    if not len(known):
        return None
    return float(margins[0] if np.isfinite(margins[0]) else known[np.abs(known).argmax()])


def _finite(margin: float | None) -> float | None:
    return margin if margin is not None and math.isfinite(margin) else None
