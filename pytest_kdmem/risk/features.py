"""Score tables of teacher and baseline → what tells, before distilling, whether a student will memorize an example."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pytest_kdmem.base.arrays import ExampleIds, Flags, Values
from pytest_kdmem.errors import DataError, SpecError
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.scoring.table import PairTable
from pytest_kdmem.specs.declared import Extraction

COLUMNS = ("nll", "zlib_bytes", "margin", "logprob", "entropy")


class Columns(NamedTuple):
    """Columns of n examples, float64 ``[n]`` each: of either model's score table by name, and of both."""

    teacher: Mapping[str, Values]
    baseline: Mapping[str, Values]
    kl: Values
    copies: Values


# The study's four (finding 6), and further ones, which are reported apart so that the four stay comparable.
STUDY_FEATURES: dict[str, Callable[[Columns], Values]] = {
    "teacher_perplexity": lambda of: np.exp(of.teacher["nll"]),
    "baseline_perplexity": lambda of: np.exp(of.baseline["nll"]),
    "kl": lambda of: of.kl,
    "zlib_bytes": lambda of: of.teacher["zlib_bytes"],
}
FURTHER_FEATURES: dict[str, Callable[[Columns], Values]] = {
    "teacher_margin": lambda of: of.teacher["margin"],
    "baseline_margin": lambda of: of.baseline["margin"],
    "teacher_logprob": lambda of: of.teacher["logprob"],
    "baseline_logprob": lambda of: of.baseline["logprob"],
    "teacher_entropy": lambda of: of.teacher["entropy"],
    "baseline_entropy": lambda of: of.baseline["entropy"],
    "copies": lambda of: of.copies,
}
FEATURES = STUDY_FEATURES | FURTHER_FEATURES
STUDY = tuple(STUDY_FEATURES)
ALL = tuple(FEATURES)


@dataclass(frozen=True)
class Source:
    """What features were taken from: digests of both models, their tokenizer and the examples, and the lengths."""

    teacher: str
    baseline: str
    tokenizer: str
    training_set: str
    extraction: Extraction


@dataclass(frozen=True, eq=False)
class Features:
    """Features of the n distinct examples that are long enough, in the order of their first copies.

    Attributes:
        names: of the d features.
        values: float64 ``[n, d]``, all finite.
        example_ids: int64 ``[n]``, positions in the training set.
        digests: ``[n]``, of the token ids.
        copies: int64 ``[n]``, how often each stands in the training set, as far as it was looked at.
        recited_by_both: bool ``[n]``, whether teacher and baseline recite it, ambiguous verdicts included.
        exhaustive: whether all of the training set was looked at.
        name: of the training set.
    """

    names: tuple[str, ...]
    values: Values
    example_ids: ExampleIds
    digests: pa.Array
    copies: ExampleIds
    recited_by_both: Flags
    exhaustive: bool
    name: str
    source: Source

    def __len__(self) -> int:
        return len(self.values)


def features_of(pair: PairTable, names: Sequence[str] = STUDY) -> Features:
    """Features from the two models' rows; nothing is run again.

    Raises:
        SpecError: an unknown feature.
        DataError: a feature is missing or not finite for some example.
    """
    check_names(names)
    if "copies" in names and not pair.teacher.record.exhaustive:
        raise SpecError(
            f"All of {pair.teacher.training_set.source} was expected for the feature copies, and a sample holds each"
            " example once; leave out --sample, or use the study's features."
        )
    teacher, baseline = Memorization("teacher", pair.teacher), Memorization("baseline", pair.baseline)
    distinct = teacher.distinct
    ids, copies = (distinct[name].to_numpy().astype(np.int64) for name in ("example_id", "copies"))
    wanted = distinct["example_id"].combine_chunks()
    sides = [_columns(found.scores.rows, wanted) for found in (teacher, baseline)]
    kl = _values(pair.kl.filter(pc.is_in(pair.kl["example_id"], wanted))["kl"])
    columns = Columns(sides[0], sides[1], kl, copies.astype(np.float64))
    return Features(
        names=tuple(names),
        values=matrix(names, columns, ids, pair.teacher.training_set.source),
        example_ids=ids,
        digests=distinct["digest"].combine_chunks(),
        copies=copies,
        recited_by_both=teacher.flags("possible") & baseline.flags("possible"),
        exhaustive=pair.teacher.record.exhaustive,
        name=pair.teacher.training_set.name,
        source=Source(
            pair.teacher.checkpoint.digest,
            pair.baseline.checkpoint.digest,
            pair.teacher.checkpoint.tokenizer_digest,
            pair.teacher.record.digest,
            pair.teacher.extraction,
        ),
    )


def check_names(names: Sequence[str]) -> None:
    """Raise SpecError for a feature that there is not."""
    for name in names:
        if name not in FEATURES:
            raise SpecError(f"A feature of risk must be one of {', '.join(FEATURES)}; found {name!r}.")
    if not names or len(set(names)) < len(names):
        raise SpecError(f"Features of risk must be named once each, at least one; found {list(names)}.")


def matrix(names: Sequence[str], columns: Columns, ids: ExampleIds, source: str) -> Values:
    """Features ``[n, d]`` of columns.

    Raises:
        DataError: one is not finite, with the first example of which that is so.
    """
    with np.errstate(over="ignore"):  # told below
        values = np.column_stack([FEATURES[name](columns) for name in names])
    broken = np.argwhere(~np.isfinite(values))
    if len(broken):
        row, at = broken[0]
        found = values[row, at]
        why = (
            "no tokenizer lies beside the models, so there is no text to compress"
            if names[at] == "zlib_bytes"
            else "score both models anew, in float32"
        )
        raise DataError(
            f"A finite {names[at]} was expected of every example of {source}, and it is {found} at example"
            f" {ids[row]} ({len(set(broken[:, 0].tolist()))} of {len(values)} in all): {why}."
        )
    return values


def _columns(rows: pa.Table, wanted: pa.Array) -> dict[str, Values]:
    """Columns of the rows at which each distinct example first stands."""
    chosen = rows.filter(pc.is_in(rows["example_id"], wanted))
    return {name: _values(chosen[name]) for name in COLUMNS}


def _values(column: pa.ChunkedArray) -> Values:
    """As float64, NaN where nothing is known."""
    values: Values = pc.cast(column, pa.float64()).to_numpy(zero_copy_only=False)
    return values
