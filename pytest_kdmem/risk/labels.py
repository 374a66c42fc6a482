"""Label examples as memorized or not: by the scores of a student, or by what teacher and baseline both recite."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pytest_kdmem.base.arrays import Flags
from pytest_kdmem.base.digests import file_digest
from pytest_kdmem.base.text import count
from pytest_kdmem.errors import DataError
from pytest_kdmem.risk.features import Features
from pytest_kdmem.scoring.table import LENGTHS_KEY, SCHEMA, encode_lengths

BOTH_MODELS = "teacher and baseline"
LABEL_COLUMNS = ["digest", "status", "memorized", "ambiguous"]


@dataclass(frozen=True, eq=False)
class Labels:
    """Whether each of n examples was memorized.

    Attributes:
        memorized: Labels, bool ``[n]``.
        source: Name of the model that memorized the examples.
        digest: Digest of that model or of its scores.
        notes: Warnings about how the model finds the training set.
    """

    memorized: Flags
    source: str
    digest: str
    notes: tuple[str, ...] = ()


def labels_from_both_models(features: Features) -> Labels:
    """Label without a student: what teacher and baseline both recite. The study's students recited half of it."""
    return Labels(features.recited_by_both, BOTH_MODELS, f"{features.source.teacher}&{features.source.baseline}")


def labels_from_rows(rows: pa.Table, features: Features, source: str, digest: str) -> Labels:
    """Label by the score rows of a student, matched by the digests of the examples; ambiguous counts as memorized.

    Raises:
        DataError: An example has no row, because the rows are of another corpus, tokenizer or other lengths.
    """
    scored = rows.filter(pc.equal(rows["status"], "scored"))
    recited = pc.or_(scored["memorized"], scored["ambiguous"])
    if recited.null_count:
        raise DataError(
            f"A verdict on each example was expected in {source}, and {count(recited.null_count)} have none; score that"
            " model anew with kdmem score."
        )
    by_digest = (
        pa.table({"digest": scored["digest"], "recited": recited}).group_by("digest").aggregate([("recited", "max")])
    )
    indices = pc.index_in(features.digests, by_digest["digest"].combine_chunks())
    if missing := indices.null_count:
        first = int(features.example_ids[pc.is_null(indices).to_numpy(zero_copy_only=False).argmax()])
        raise DataError(
            f"A label for each of the {count(len(features))} examples of {features.training_set_name} was expected in"
            f" {source}, and {count(missing)} have none (first: example {first}): its scores are of another corpus,"
            " tokenizer or window; score that model over this training set with the same lengths."
        )
    memorized: Flags = by_digest["recited_max"].combine_chunks().take(indices).to_numpy(zero_copy_only=False)
    return Labels(memorized.astype(bool), source, digest)


def labels_from_file(path: Path, features: Features) -> Labels:
    """Label by a table that `kdmem score` wrote.

    Raises:
        DataError: The file is not such a table, or is of other examples.
    """
    rows, lengths, digest = _read_scores(path)
    expected = encode_lengths(features.source.extraction)
    if lengths is not None and lengths != expected:
        raise DataError(
            f"Labels of prefix, suffix and window {expected.decode()} were expected in {path}, and its scores"
            f" are of {lengths.decode(errors='replace')}; score that model with the same lengths."
        )
    return labels_from_rows(rows, features, str(path), digest)


def _read_scores(path: Path) -> tuple[pa.Table, bytes | None, str]:
    """Read the columns that labels need, the lengths of the scored examples if recorded, and the file's digest."""
    not_scores = DataError(
        f"A table with the columns {', '.join(LABEL_COLUMNS)} was expected in {path}, and it is none; write one with"
        " kdmem score MODEL TRAINING_SET --out scores.parquet."
    )
    try:
        rows = pq.read_table(path, columns=LABEL_COLUMNS)
        lengths = (rows.schema.metadata or {}).get(LENGTHS_KEY)
        if rows.column_names != LABEL_COLUMNS:
            raise not_scores
        return rows.cast(pa.schema([SCHEMA.field(name) for name in LABEL_COLUMNS])), lengths, file_digest(path)
    except FileNotFoundError:
        raise DataError(
            f"A table of scores was expected at {path}, and there is no such file; check the path."
        ) from None
    except (OSError, ValueError, KeyError, pa.ArrowException):
        raise not_scores from None
