"""Summarizes single examples, and the distributions of scores over all examples, as entries of an audit's result."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pyarrow as pa

from pytest_kdmem.auditing.schema_examples import (
    DistributionsEntry,
    ExamplesEntry,
    ModelColumns,
    ModelDistributions,
    RepetitionBin,
)
from pytest_kdmem.base.arrays import Flags
from pytest_kdmem.base.rounding import rounded
from pytest_kdmem.metrics.distinct_rows import as_values
from pytest_kdmem.metrics.flags import FLAG_COLUMNS
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.metrics.near_verbatim import NearVerbatim
from pytest_kdmem.risk.predicted import PredictedRisk

# Examples that no model recites are listed for the highest predicted risks only; the risk entry has the ids of all.
MAX_AT_RISK = 1000
MAX_DRAWN = 1000
# In logits, and constant, so that the distributions of any two models or runs can be compared.
MARGIN_EDGES = tuple(float(edge) for edge in range(-16, 17))


def examples_entry(
    memorizations: Mapping[str, Memorization],
    risk: PredictedRisk | None = None,
    near_verbatim: Iterable[NearVerbatim] = (),
) -> ExamplesEntry | None:
    """List the examples that any model recites, may recite or recites nearly, and those of the highest predicted risk.

    Args:
        memorizations: Memorizations of one set by role; without any there is no entry.
        risk: Predicted risk, which is listed if it is of the same examples.
        near_verbatim: What is recited nearly, of which that of these models' scores is listed.
    """
    if not memorizations:
        return None
    first = next(iter(memorizations.values()))
    ids = first.example_ids
    is_listed: Flags = np.logical_or.reduce([_is_possible(memorization) for memorization in memorizations.values()])
    scores = [memorization.scores for memorization in memorizations.values()]
    for near in near_verbatim:
        if any(near.memorization.scores is each for each in scores):
            is_listed |= near.flags.memorized | near.flags.possible
    risks = np.full(len(ids), np.nan)
    if risk is not None and np.array_equal(risk.features.example_ids, ids):
        risks = risk.risks
        highest = np.array(risk.examples[:MAX_AT_RISK], dtype=np.int64)
        is_listed[np.searchsorted(ids, highest)] = True
    rows = _rows_of(first, is_listed)
    return ExamplesEntry(
        example_id=tuple(ids[is_listed].tolist()),
        digest=tuple(rows["digest"].to_pylist()),
        copies=tuple(first.distinct_rows.copies[is_listed].tolist()),
        zlib_bytes=tuple(rows["zlib_bytes"].to_pylist()),
        risk=rounded(risks[is_listed]),
        models={role: _columns(memorization, is_listed) for role, memorization in memorizations.items()},
        groups=_groups(first, ids[is_listed].tolist()),
    )


def _groups(memorization: Memorization, example_ids: Sequence[int]) -> tuple[tuple[str, ...], ...]:
    """Return the names of the groups of each example; empty without a column of them."""
    if memorization.groups is None:
        return ()
    names: dict[int, list[str]] = {example_id: [] for example_id in example_ids}
    for name, group in memorization.by_group.items():
        for example_id in np.intersect1d(group.example_ids, example_ids).tolist():
            names[example_id].append(name)
    return tuple(map(tuple, names.values()))


def distributions_entry(memorizations: Mapping[str, Memorization], *, seed: int = 0) -> DistributionsEntry | None:
    """Count margins and repetitions, and draw examples that a model does not recite.

    Args:
        memorizations: Memorizations of one set by role; without any there is no entry.
        seed: Seed of the draw.
    """
    if not memorizations:
        return None
    models = {role: _model_distributions(memorization, seed) for role, memorization in memorizations.items()}
    return DistributionsEntry(MARGIN_EDGES, models)


def _is_possible(memorization: Memorization) -> Flags:
    """Whether the model recites an example, or may recite it, bool ``[n]``."""
    return memorization.flags("possible") | memorization.flags("memorized")


def _rows_of(memorization: Memorization, is_chosen: Flags) -> pa.Table:
    """Rows of the score table, each at the first copy, of the examples that a flag ``[n]`` chooses."""
    return memorization.scores.rows.filter(memorization.distinct_rows.row_mask(is_chosen))


def _columns(memorization: Memorization, is_listed: Flags) -> ModelColumns:
    rows = _rows_of(memorization, is_listed)
    flags = {name: memorization.flags(name)[is_listed] for name in FLAG_COLUMNS}
    return ModelColumns(
        memorized=tuple(flags["memorized"].astype(int).tolist()),
        ambiguous=tuple((flags["possible"] & ~flags["sure"]).astype(int).tolist()),
        margin=rounded(as_values(rows["margin"])),
        perplexity=rounded(np.exp(as_values(rows["nll"]))),
        logprob=rounded(as_values(rows["logprob"])),
    )


def _model_distributions(memorization: Memorization, seed: int) -> ModelDistributions:
    margins, without_margin = _margins(memorization)
    drawn = _rows_of(memorization, _draw_not_recited(memorization, seed))
    return ModelDistributions(
        margins=margins,
        without_margin=without_margin,
        repetition=_repetition(memorization),
        zlib_bytes=tuple(drawn["zlib_bytes"].to_pylist()),
        perplexity=tuple(float(f"{value:.4g}") for value in np.exp(as_values(drawn["nll"]))),
    )


def _margins(memorization: Memorization) -> tuple[tuple[int, ...], int]:
    """Number of margins in each bin, and of those that are unknown."""
    margins = memorization.distinct_rows.values(memorization.scores.rows["margin"])
    finite = margins[np.isfinite(margins)]
    beyond_edge = [np.count_nonzero(finite >= edge) for edge in MARGIN_EDGES[1:-1]]
    counts = -np.diff([len(finite), *beyond_edge, 0])
    return tuple(counts.tolist()), len(margins) - len(finite)


def _draw_not_recited(memorization: Memorization, seed: int) -> Flags:
    """Draw examples that the model does not recite and whose perplexity and size are known; a flag ``[n]`` of each."""
    distinct, rows = memorization.distinct_rows, memorization.scores.rows
    perplexity = distinct.values(rows["nll"])
    is_candidate = ~memorization.flags("possible") & np.isfinite(np.exp(perplexity, out=perplexity))
    del perplexity
    is_candidate &= distinct.at_first(rows["zlib_bytes"]).is_valid().to_numpy()
    candidates = np.flatnonzero(is_candidate)
    np.random.default_rng(seed).shuffle(candidates)
    is_drawn = np.zeros(len(is_candidate), dtype=bool)
    is_drawn[candidates[:MAX_DRAWN]] = True
    return is_drawn


def _repetition(memorization: Memorization) -> tuple[RepetitionBin, ...]:
    """Count by copies 1, 2, 3–4, 5–8, 9–16, …, without empty bins; a sample does not tell copies."""
    if not memorization.scores.record.exhaustive:
        return ()
    copies = memorization.distinct_rows.copies
    examples = np.bincount(copies)  # by number of copies, as is the next
    memorized = np.bincount(copies[memorization.flags("memorized")], minlength=len(examples))
    numbers = np.flatnonzero(examples)
    doublings = np.ceil(np.log2(numbers)).astype(int)
    bins = []
    for doubling in np.unique(doublings).tolist():
        inside = numbers[doublings == doubling]
        least = 2 ** (doubling - 1) + 1 if doubling else 1
        bins.append(RepetitionBin(least, 2**doubling, int(memorized[inside].sum()), int(examples[inside].sum())))
    return tuple(bins)
