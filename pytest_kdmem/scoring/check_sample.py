"""Choice of the rows of a score table that the engine checks are run on."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

# Number of sure rows to check of each verdict, memorized and not memorized.
CONTROL_SAMPLE = 64
# Most ambiguous rows to check: a wide band over a large set holds more than can be decoded.
AMBIGUOUS_SAMPLE = 4096


@dataclass(frozen=True)
class Expected:
    """The table's verdict on one example.

    ``margin`` is in logits, and None for a sure miss that was scored no further than its first miss.
    """

    example_id: int
    digest: str
    memorized: bool
    ambiguous: bool
    margin: float | None


@dataclass(frozen=True)
class CheckSample:
    """The rows to check, in order of their ids, out of a score table.

    Attributes:
        rows: The table's verdict on each example to check.
        examples: Number of distinct scored examples in the table.
        ambiguous: Number of these that are ambiguous.
    """

    rows: tuple[Expected, ...]
    examples: int
    ambiguous: int


def choose_sample(rows: pa.Table, *, seed: int) -> CheckSample:
    """Choose the ambiguous rows of a score table and a random sample of its sure ones, each distinct example once.

    Args:
        rows: Score table by `scoring.table.SCHEMA`.
        seed: Seed of the random sample.
    """
    columns = ["example_id", "digest", "memorized", "ambiguous", "margin"]
    scored = rows.filter(pc.equal(rows["status"], "scored")).select(columns)
    # Copies of an example may lie in batches of different shape: the ambiguous copy is taken, else the first.
    scored = scored.sort_by([("ambiguous", "descending"), ("example_id", "ascending")])
    codes = [chunk.indices.to_numpy() for chunk in scored["digest"].dictionary_encode().chunks]
    _, first = np.unique(np.concatenate(codes or [np.empty(0, np.int32)]), return_index=True)
    distinct = scored.take(first).sort_by("example_id")
    memorized, ambiguous = (distinct[name].to_numpy().astype(bool) for name in ("memorized", "ambiguous"))
    random = np.random.default_rng(seed)
    sampled = [
        random.permutation(np.flatnonzero(group))[:size]
        for group, size in (
            (ambiguous, AMBIGUOUS_SAMPLE),
            (memorized & ~ambiguous, CONTROL_SAMPLE),
            (~memorized & ~ambiguous, CONTROL_SAMPLE),
        )
    ]
    expected = tuple(
        Expected(**{**row, "margin": _finite_or_none(row["margin"])})
        for row in distinct.take(np.sort(np.concatenate(sampled))).to_pylist()
    )
    return CheckSample(expected, len(distinct), int(ambiguous.sum()))


def without_screened_margins(sample: CheckSample, band: float) -> CheckSample:
    """The sample without margins outside the band that was decided: a fast dtype gave them, others would differ."""
    rows = (
        row if row.margin is not None and abs(row.margin) <= band else replace(row, margin=None) for row in sample.rows
    )
    return replace(sample, rows=tuple(rows))


def _finite_or_none(margin: float | None) -> float | None:
    return margin if margin is not None and math.isfinite(margin) else None
