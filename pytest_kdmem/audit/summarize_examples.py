"""Summarizes single examples, and the distributions of scores over all examples, as entries of an audit's result."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pytest_kdmem.audit.schema_examples import (
    DistributionsEntry,
    ExamplesEntry,
    ModelColumns,
    ModelDistributions,
    RepetitionBin,
)
from pytest_kdmem.base.arrays import ExampleIds, Flags, Values
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.risk.predicted import PredictedRisk

# Examples that no model recites are listed for the highest predicted risks only; the risk entry has the ids of all.
MAX_AT_RISK = 1000
MAX_DRAWN = 1000
# In logits, and constant, so that the distributions of any two models or runs can be compared.
MARGIN_EDGES = tuple(float(edge) for edge in range(-16, 17))


@dataclass(frozen=True, eq=False)
class ModelRows:
    """The score rows of one model, one for each of its n distinct examples.

    Attributes:
        memorization: What the model memorized.
        rows: Rows of the score table, each at the first copy of its example.
    """

    memorization: Memorization
    rows: pa.Table

    @staticmethod
    def of(memorization: Memorization) -> ModelRows:
        rows = memorization.scores.rows
        first_copies = memorization.distinct["example_id"].combine_chunks()
        return ModelRows(memorization, rows.filter(pc.is_in(rows["example_id"], first_copies)))

    def values(self, name: str) -> Values:
        """A column as float64 ``[n]``, NaN where it is null."""
        values: Values = pc.cast(self.rows[name], pa.float64()).to_numpy(zero_copy_only=False).astype(np.float64)
        return values

    @property
    def perplexity(self) -> Values:
        """Perplexity of each example's window, float64 ``[n]``."""
        return np.exp(self.values("nll"))

    @property
    def possible(self) -> Flags:
        """Whether the model recites an example, or may recite it, bool ``[n]``."""
        return self.memorization.flags("possible") | self.memorization.flags("memorized")

    @property
    def ambiguous(self) -> Flags:
        """Whether an example is ambiguous, bool ``[n]``."""
        return self.memorization.flags("possible") & ~self.memorization.flags("sure")


def examples_entry(
    memorizations: Mapping[str, Memorization], risk: PredictedRisk | None = None
) -> ExamplesEntry | None:
    """List the examples that any model recites or may recite, and those of the highest predicted risk.

    Args:
        memorizations: Memorizations of one set by role; without any there is no entry.
        risk: Predicted risk, which is listed if it is of the same examples.
    """
    if not memorizations:
        return None
    models = {role: ModelRows.of(memorization) for role, memorization in memorizations.items()}
    first = next(iter(models.values()))
    distinct = first.memorization.distinct
    ids: ExampleIds = distinct["example_id"].to_numpy()
    is_listed: Flags = np.logical_or.reduce([model.possible for model in models.values()])
    risks = np.full(len(ids), np.nan)
    if risk is not None and np.array_equal(risk.features.example_ids, ids):
        risks = risk.risks
        highest = np.array(risk.examples[:MAX_AT_RISK], dtype=np.int64)
        is_listed[np.searchsorted(ids, highest)] = True
    listed = np.flatnonzero(is_listed)
    return ExamplesEntry(
        example_id=tuple(ids[listed].tolist()),
        digest=tuple(distinct["digest"].take(pa.array(listed)).to_pylist()),
        copies=tuple(distinct["copies"].to_numpy()[listed].tolist()),
        zlib_bytes=tuple(first.rows["zlib_bytes"].take(pa.array(listed)).to_pylist()),
        risk=_rounded(risks[listed]),
        models={role: _columns(model, listed) for role, model in models.items()},
    )


def distributions_entry(memorizations: Mapping[str, Memorization], *, seed: int = 0) -> DistributionsEntry | None:
    """Count margins and repetitions, and draw examples that a model does not recite.

    Args:
        memorizations: Memorizations of one set by role; without any there is no entry.
        seed: Seed of the draw.
    """
    if not memorizations:
        return None
    models = {
        role: _model_distributions(ModelRows.of(memorization), seed) for role, memorization in memorizations.items()
    }
    return DistributionsEntry(MARGIN_EDGES, models)


def _columns(model: ModelRows, listed: ExampleIds) -> ModelColumns:
    return ModelColumns(
        memorized=tuple(model.memorization.flags("memorized")[listed].astype(int).tolist()),
        ambiguous=tuple(model.ambiguous[listed].astype(int).tolist()),
        margin=_rounded(model.values("margin")[listed]),
        perplexity=_rounded(model.perplexity[listed]),
        logprob=_rounded(model.values("logprob")[listed]),
    )


def _model_distributions(model: ModelRows, seed: int) -> ModelDistributions:
    margins = model.values("margin")
    known_margins = margins[np.isfinite(margins)]
    inner_edges = MARGIN_EDGES[1:-1]
    bins = np.searchsorted(inner_edges, known_margins, side="right")
    perplexity, size = model.perplexity, model.values("zlib_bytes")
    not_recited = ~model.memorization.flags("possible") & np.isfinite(perplexity) & np.isfinite(size)
    drawn = np.sort(np.random.default_rng(seed).permutation(np.flatnonzero(not_recited))[:MAX_DRAWN])
    return ModelDistributions(
        margins=tuple(np.bincount(bins, minlength=len(inner_edges) + 1).tolist()),
        without_margin=len(margins) - len(known_margins),
        repetition=_repetition(model.memorization),
        zlib_bytes=tuple(size[drawn].astype(int).tolist()),
        perplexity=tuple(float(f"{value:.4g}") for value in perplexity[drawn]),
    )


def _repetition(memorization: Memorization) -> tuple[RepetitionBin, ...]:
    """Count by copies 1, 2, 3–4, 5–8, 9–16, …, without empty bins; a sample does not tell copies."""
    if not memorization.scores.record.exhaustive:
        return ()
    memorized = memorization.flags("memorized")
    doublings = np.ceil(np.log2(memorization.distinct["copies"].to_numpy())).astype(int)
    bins = []
    for doubling in np.unique(doublings).tolist():
        inside = doublings == doubling
        least = 2 ** (doubling - 1) + 1 if doubling else 1
        bins.append(RepetitionBin(least, 2**doubling, int(memorized[inside].sum()), int(inside.sum())))
    return tuple(bins)


def _rounded(values: Values) -> tuple[float | None, ...]:
    """Values to four significant digits; None for a value that is not finite."""
    rounded: list[Any] = values.tolist()
    return tuple(float(f"{value:.4g}") if math.isfinite(value) else None for value in rounded)
