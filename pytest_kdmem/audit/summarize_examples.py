"""What models made of single examples → the entries of a report that tell of these, and of how all are spread."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pytest_kdmem.audit.schema import (
    DistributionsEntry,
    ExamplesEntry,
    ModelColumns,
    ModelDistributions,
    RepetitionBin,
)
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.risk.predicted import PredictedRisk

Numbers = npt.NDArray[np.float64]
# Of examples that nobody recites, those of highest predicted risk are told; the ids of all are in the risk entry.
MOST_AT_RISK = 1000
MOST_DRAWN = 1000
# The same for all models and runs, so that any two can be laid side by side; in logits.
MARGIN_EDGES = tuple(float(edge) for edge in range(-16, 17))


def examples_entry(found: Mapping[str, Memorization], risk: PredictedRisk | None = None) -> ExamplesEntry | None:
    """The rows that a reader asks for: recited by any model, perhaps recited, or of high risk.

    Args:
        found: by role, over the same examples; at least one, or there is no entry.
        risk: told where it is over the same examples.
    """
    if not found:
        return None
    distinct = next(iter(found.values())).distinct
    ids = distinct["example_id"].to_numpy()
    told = np.zeros(len(ids), dtype=bool)
    for memorization in found.values():
        told |= memorization.flags("possible") | memorization.flags("memorized")
    risks = np.full(len(ids), np.nan)
    if risk is not None and np.array_equal(risk.features.example_ids, ids):
        risks = risk.risks
        highest = np.array(risk.examples[:MOST_AT_RISK], dtype=np.int64)
        told[np.searchsorted(ids, highest)] = True
    at = np.flatnonzero(told)
    rows = _rows(next(iter(found.values())))
    return ExamplesEntry(
        example_id=tuple(ids[at].tolist()),
        digest=tuple(distinct["digest"].take(pa.array(at)).to_pylist()),
        copies=tuple(distinct["copies"].to_numpy()[at].tolist()),
        zlib_bytes=tuple(rows["zlib_bytes"].take(pa.array(at)).to_pylist()),
        risk=_rounded(risks[at]),
        models={role: _columns(memorization, at) for role, memorization in found.items()},
    )


def distributions_entry(found: Mapping[str, Memorization], *, seed: int = 0) -> DistributionsEntry | None:
    """Margins, repetition, and examples drawn from those that no model recites."""
    if not found:
        return None
    margins = {role: _numbers(_rows(memorization), "margin") for role, memorization in found.items()}
    inner = MARGIN_EDGES[1:-1]
    models = {}
    for role, memorization in found.items():
        known = margins[role][np.isfinite(margins[role])]
        counts = np.bincount(np.searchsorted(inner, known, side="right"), minlength=len(inner) + 1)
        rows = _rows(memorization)
        perplexity = np.exp(_numbers(rows, "nll"))
        size = _numbers(rows, "zlib_bytes")
        others = np.flatnonzero(~memorization.flags("possible") & np.isfinite(perplexity) & np.isfinite(size))
        drawn = np.sort(np.random.default_rng(seed).permutation(others)[:MOST_DRAWN])
        models[role] = ModelDistributions(
            margins=tuple(counts.tolist()),
            without_margin=int(len(margins[role]) - len(known)),
            repetition=_repetition(memorization),
            zlib_bytes=tuple(size[drawn].astype(int).tolist()),
            perplexity=tuple(float(f"{value:.4g}") for value in perplexity[drawn]),
        )
    return DistributionsEntry(MARGIN_EDGES, models)


def _rows(memorization: Memorization) -> pa.Table:
    """A row per distinct example, at its first copy."""
    rows = memorization.scores.rows
    return rows.filter(pc.is_in(rows["example_id"], memorization.distinct["example_id"].combine_chunks()))


def _columns(memorization: Memorization, at: npt.NDArray[np.int64]) -> ModelColumns:
    rows = _rows(memorization).take(pa.array(at))
    ambiguous = memorization.flags("possible") & ~memorization.flags("sure")
    return ModelColumns(
        memorized=tuple(memorization.flags("memorized")[at].astype(int).tolist()),
        ambiguous=tuple(ambiguous[at].astype(int).tolist()),
        margin=_rounded(_numbers(rows, "margin")),
        perplexity=_rounded(np.exp(_numbers(rows, "nll"))),
        logprob=_rounded(_numbers(rows, "logprob")),
    )


def _repetition(memorization: Memorization) -> tuple[RepetitionBin, ...]:
    """Copies 1, 2, 3–4, 5–8, 9–16, …; bins without an example are left out."""
    if not memorization.scores.record.exhaustive:
        return ()
    copies = memorization.distinct["copies"].to_numpy()
    memorized = memorization.flags("memorized")
    doublings = np.ceil(np.log2(copies)).astype(int)
    bins = []
    for doubling in np.unique(doublings).tolist():
        inside = doublings == doubling
        least = 2 ** (doubling - 1) + 1 if doubling else 1
        bins.append(RepetitionBin(least, 2**doubling, int(memorized[inside].sum()), int(inside.sum())))
    return tuple(bins)


def _numbers(rows: pa.Table, name: str) -> Numbers:
    """A column as float64, NaN where it is null."""
    numbers: Numbers = pc.cast(rows[name], pa.float64()).to_numpy(zero_copy_only=False).astype(np.float64)
    return numbers


def _rounded(values: Any) -> tuple[float | None, ...]:
    """To four significant digits; None where a value is not finite."""
    return tuple(float(f"{value:.4g}") if math.isfinite(value) else None for value in values.tolist())
