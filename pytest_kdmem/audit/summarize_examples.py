"""Summarizes single examples, and the distributions of scores over all examples, as entries of an audit's result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pytest_kdmem.audit.schema_examples import (
    DistributionsEntry,
    ExamplesEntry,
    ModelColumns,
    ModelDistributions,
    RepetitionBin,
)
from pytest_kdmem.base.arrays import ExampleIds, Flags, Values
from pytest_kdmem.base.rounding import rounded
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.risk.predicted import PredictedRisk

# Examples that no model recites are listed for the highest predicted risks only; the risk entry has the ids of all.
MAX_AT_RISK = 1000
MAX_DRAWN = 1000
# In logits, and constant, so that the distributions of any two models or runs can be compared.
MARGIN_EDGES = tuple(float(edge) for edge in range(-16, 17))


@dataclass(frozen=True, eq=False)
class ModelRows:
    """The scores of one model of its n distinct examples, each at the first copy.

    Attributes:
        memorization: What the model memorized.
    """

    memorization: Memorization

    def values(self, name: str) -> Values:
        """A column as float64 ``[n]``, NaN where it is null."""
        return self.memorization.distinct_rows.values(self.memorization.scores.rows[name])

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
    models = {role: ModelRows(memorization) for role, memorization in memorizations.items()}
    first = next(iter(models.values()))
    distinct, ids = first.memorization.distinct_rows, first.memorization.example_ids
    is_listed: Flags = np.logical_or.reduce([model.possible for model in models.values()])
    risks = np.full(len(ids), np.nan)
    if risk is not None and np.array_equal(risk.features.example_ids, ids):
        risks = risk.risks
        highest = np.array(risk.examples[:MAX_AT_RISK], dtype=np.int64)
        is_listed[np.searchsorted(ids, highest)] = True
    digest, zlib_bytes = (
        distinct.at_first(first.memorization.scores.rows[name]).filter(pa.array(is_listed)).to_pylist()
        for name in ("digest", "zlib_bytes")
    )
    return ExamplesEntry(
        example_id=tuple(ids[is_listed].tolist()),
        digest=tuple(digest),
        copies=tuple(distinct.copies[is_listed].tolist()),
        zlib_bytes=tuple(zlib_bytes),
        risk=rounded(risks[is_listed]),
        models={role: _columns(model, is_listed) for role, model in models.items()},
    )


def distributions_entry(memorizations: Mapping[str, Memorization], *, seed: int = 0) -> DistributionsEntry | None:
    """Count margins and repetitions, and draw examples that a model does not recite.

    Args:
        memorizations: Memorizations of one set by role; without any there is no entry.
        seed: Seed of the draw.
    """
    if not memorizations:
        return None
    models = {role: _model_distributions(ModelRows(memorization), seed) for role, memorization in memorizations.items()}
    return DistributionsEntry(MARGIN_EDGES, models)


def _columns(model: ModelRows, is_listed: Flags) -> ModelColumns:
    return ModelColumns(
        memorized=tuple(model.memorization.flags("memorized")[is_listed].astype(int).tolist()),
        ambiguous=tuple(model.ambiguous[is_listed].astype(int).tolist()),
        margin=rounded(model.values("margin")[is_listed]),
        perplexity=rounded(model.perplexity[is_listed]),
        logprob=rounded(model.values("logprob")[is_listed]),
    )


def _model_distributions(model: ModelRows, seed: int) -> ModelDistributions:
    margins, without_margin = _margins(model)
    drawn = _draw_not_recited(model, seed)
    return ModelDistributions(
        margins=margins,
        without_margin=without_margin,
        repetition=_repetition(model.memorization),
        zlib_bytes=tuple(model.values("zlib_bytes")[drawn].astype(int).tolist()),
        perplexity=tuple(float(f"{value:.4g}") for value in model.perplexity[drawn]),
    )


def _margins(model: ModelRows) -> tuple[tuple[int, ...], int]:
    """Number of margins in each bin, and of those that are unknown."""
    margins = model.values("margin")
    known_margins = margins[np.isfinite(margins)]
    beyond_edge = [np.count_nonzero(known_margins >= edge) for edge in MARGIN_EDGES[1:-1]]
    counts = -np.diff([len(known_margins), *beyond_edge, 0])
    return tuple(counts.tolist()), len(margins) - len(known_margins)


def _draw_not_recited(model: ModelRows, seed: int) -> ExampleIds:
    """Indices, ascending, of drawn examples that the model does not recite and whose perplexity and size are known."""
    is_candidate = ~model.memorization.flags("possible") & np.isfinite(model.perplexity)
    is_candidate &= np.isfinite(model.values("zlib_bytes"))
    candidates = np.flatnonzero(is_candidate)
    np.random.default_rng(seed).shuffle(candidates)
    return np.sort(candidates[:MAX_DRAWN])


def _repetition(memorization: Memorization) -> tuple[RepetitionBin, ...]:
    """Count by copies 1, 2, 3–4, 5–8, 9–16, …, without empty bins; a sample does not tell copies."""
    if not memorization.scores.record.exhaustive:
        return ()
    memorized = memorization.flags("memorized")
    doublings = np.ceil(np.log2(memorization.distinct_rows.copies)).astype(int)
    bins = []
    for doubling in np.unique(doublings).tolist():
        inside = doublings == doubling
        least = 2 ** (doubling - 1) + 1 if doubling else 1
        bins.append(RepetitionBin(least, 2**doubling, int(memorized[inside].sum()), int(inside.sum())))
    return tuple(bins)
