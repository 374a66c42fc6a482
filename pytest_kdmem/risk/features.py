"""Extract features of examples from the score tables of teacher and baseline."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from pytest_kdmem.base.arrays import ExampleIds, Flags, Values
from pytest_kdmem.errors import DataError, SpecError
from pytest_kdmem.metrics.distinct_rows import DistinctRows
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.scoring.table import PairTable
from pytest_kdmem.scoring.too_short import TooShort, count_too_short
from pytest_kdmem.specs.checks import choice, require
from pytest_kdmem.specs.declared import Extraction
from pytest_kdmem.specs.tokenizer_content import content_digest

SCORE_COLUMNS = ("nll", "zlib_bytes", "margin", "logprob", "entropy")


class PairColumns(NamedTuple):
    """Columns of n examples, each float64 ``[n]``: of either model's score table by name, and of the pair."""

    teacher: Mapping[str, Values]
    baseline: Mapping[str, Values]
    kl: Values
    copies: Values


FeatureFunction = Callable[[PairColumns], Values]
# The study's four features (finding 6). Further features are kept apart, so that results stay comparable to the study.
_STUDY: dict[str, FeatureFunction] = {
    "teacher_perplexity": lambda columns: np.exp(columns.teacher["nll"]),
    "baseline_perplexity": lambda columns: np.exp(columns.baseline["nll"]),
    "kl": lambda columns: columns.kl,
    "zlib_bytes": lambda columns: columns.teacher["zlib_bytes"],
}
_FURTHER: dict[str, FeatureFunction] = {
    "teacher_margin": lambda columns: columns.teacher["margin"],
    "baseline_margin": lambda columns: columns.baseline["margin"],
    "teacher_logprob": lambda columns: columns.teacher["logprob"],
    "baseline_logprob": lambda columns: columns.baseline["logprob"],
    "teacher_entropy": lambda columns: columns.teacher["entropy"],
    "baseline_entropy": lambda columns: columns.baseline["entropy"],
    "copies": lambda columns: columns.copies,
}
FEATURE_FUNCTIONS = _STUDY | _FURTHER
STUDY_FEATURES = tuple(_STUDY)
ALL_FEATURES = tuple(FEATURE_FUNCTIONS)


@dataclass(frozen=True)
class FeatureSource:
    """What features were computed from.

    Attributes:
        teacher, baseline: Digests of the two models.
        tokenizer: Digest of their tokenizer's file.
        training_set: Digest of the examples.
        extraction: Lengths of prefix, suffix and window.
        tokenizer_content: Digest of what the tokenizer does, whichever version wrote its file; empty if unknown.
    """

    teacher: str
    baseline: str
    tokenizer: str
    training_set: str
    extraction: Extraction
    tokenizer_content: str = field(default="", metadata={"json_default": "left out"})

    def has_tokenizer_of(self, other: FeatureSource) -> bool:
        """Whether the tokenizers of both make the same token ids of any text."""
        is_same_content = self.tokenizer_content == other.tokenizer_content != ""
        return self.tokenizer == other.tokenizer or is_same_content


@dataclass(frozen=True, eq=False)
class Features:
    """Features of the n distinct examples that are long enough, in the order of their first copies.

    Attributes:
        names: Names of the d features.
        values: Features, float64 ``[n, d]``, all finite.
        example_ids: Positions in the training set, int64 ``[n]``.
        digests: Digests of the token ids ``[n]``.
        copies: Number of copies of each example among those scored, int64 ``[n]``.
        recited_by_both: Whether teacher and baseline recite it, bool ``[n]``; ambiguous verdicts count as recited.
        exhaustive: Whether the whole training set was scored.
        too_short: What was too short to be scored.
        training_set_name: Name of the training set in messages.
        source: What the features were computed from.
    """

    names: tuple[str, ...]
    values: Values
    example_ids: ExampleIds
    digests: pa.Array
    copies: ExampleIds
    recited_by_both: Flags
    exhaustive: bool
    too_short: TooShort
    training_set_name: str
    source: FeatureSource

    def __len__(self) -> int:
        return len(self.values)


def extract_features(pair: PairTable, names: Sequence[str] = STUDY_FEATURES) -> Features:
    """Compute features from the score rows of the two models; no model is run.

    Raises:
        SpecError: A feature does not exist, or is not defined over a sample.
        DataError: A feature is missing or not finite for some example.
    """
    check_feature_names(names)
    if "copies" in names and not pair.teacher.record.exhaustive:
        raise SpecError(
            f"All of {pair.teacher.training_set.source} was expected for the feature copies, and a sample holds each"
            " example once; leave out --sample, or use the study's features."
        )
    teacher, baseline = Memorization("teacher", pair.teacher), Memorization("baseline", pair.baseline)
    distinct, ids = teacher.distinct_rows, teacher.example_ids
    copies = distinct.copies
    columns = PairColumns(
        _score_columns(pair.teacher.rows, distinct),
        _score_columns(pair.baseline.rows, distinct),
        distinct.values(pair.kl["kl"]),
        copies.astype(np.float64),
    )
    return Features(
        names=tuple(names),
        values=feature_matrix(names, columns, ids, pair.teacher.training_set.source),
        example_ids=ids,
        digests=distinct.at_first(distinct.digest).combine_chunks(),
        copies=copies,
        recited_by_both=teacher.flags("possible") & baseline.flags("possible"),
        exhaustive=pair.teacher.record.exhaustive,
        too_short=count_too_short(pair.teacher),
        training_set_name=pair.teacher.training_set.name,
        source=FeatureSource(
            pair.teacher.checkpoint.digest,
            pair.baseline.checkpoint.digest,
            pair.teacher.checkpoint.tokenizer_digest,
            pair.teacher.record.digest,
            pair.teacher.extraction,
            content_digest(pair.teacher.checkpoint.text_folder),
        ),
    )


def check_feature_names(names: Sequence[str]) -> None:
    """Raise SpecError unless the names are those of features, at least one, and each given once."""
    for name in names:
        require("A feature of risk", name, choice(*ALL_FEATURES))
    if not names or len(set(names)) < len(names):
        raise SpecError(f"Features of risk must be named once each, at least one; found {list(names)}.")


def feature_matrix(names: Sequence[str], columns: PairColumns, ids: ExampleIds, source: str) -> Values:
    """Compute features ``[n, d]`` from columns of n examples.

    Args:
        names: Names of the d features.
        columns: Columns of the examples.
        ids: Positions of the examples in the training set, for the error message.
        source: Source of the training set, for the error message.

    Raises:
        DataError: A feature is not finite; the message names the first such example.
    """
    with np.errstate(over="ignore"):  # an overflow is reported below
        values = np.column_stack([FEATURE_FUNCTIONS[name](columns) for name in names])
    not_finite = np.argwhere(~np.isfinite(values))
    if len(not_finite):
        row, column = not_finite[0]
        reason = (
            "no tokenizer lies beside the models, so there is no text to compress"
            if names[column] == "zlib_bytes"
            else "score both models anew, in float32"
        )
        raise DataError(
            f"A finite {names[column]} was expected of every example of {source}, and it is {values[row, column]} at"
            f" example {ids[row]} ({len(set(not_finite[:, 0].tolist()))} of {len(values)} in all): {reason}."
        )
    return values


def _score_columns(rows: pa.Table, distinct: DistinctRows) -> dict[str, Values]:
    """Return columns of the score rows of distinct examples, by name."""
    return {name: distinct.values(rows[name]) for name in SCORE_COLUMNS}
