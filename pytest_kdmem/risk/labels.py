"""What is known to have been memorized → labels of the examples whose features are known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pytest_kdmem.base.arrays import Flags
from pytest_kdmem.base.text import count
from pytest_kdmem.corpus.sources import sha256
from pytest_kdmem.errors import DataError
from pytest_kdmem.risk.features import Features
from pytest_kdmem.scoring.table import LENGTHS_KEY, SCHEMA, encode_lengths

BOTH = "teacher and baseline"


@dataclass(frozen=True, eq=False)
class Labels:
    """Whether each of n examples was memorized, bool ``[n]``; ``source`` says by whom, ``digest`` is theirs."""

    memorized: Flags
    source: str
    digest: str


def recited_by_both(features: Features) -> Labels:
    """Labels without any student: what teacher and baseline both recite, of which the study's students did half."""
    return Labels(features.recited_by_both, BOTH, f"{features.source.teacher}&{features.source.baseline}")


def labels_from_rows(rows: pa.Table, features: Features, source: str, digest: str) -> Labels:
    """Labels from the score rows of a student, by the digests of the examples; ambiguous ones count as memorized.

    Raises:
        DataError: some example has no row, as the rows are of another corpus, tokenizer or lengths.
    """
    scored = rows.filter(pc.equal(rows["status"], "scored"))
    recited = pc.or_(scored["memorized"], scored["ambiguous"])
    if recited.null_count:
        raise DataError(
            f"A verdict on each example was expected in {source}, and {count(recited.null_count)} have none; score that"
            " model anew with kdmem score."
        )
    known = (
        pa.table({"digest": scored["digest"], "recited": recited}).group_by("digest").aggregate([("recited", "max")])
    )
    at = pc.index_in(features.digests, known["digest"].combine_chunks())
    if missing := at.null_count:
        first = int(features.example_ids[pc.is_null(at).to_numpy(zero_copy_only=False).argmax()])
        raise DataError(
            f"A label for each of the {count(len(features))} examples of {features.name} was expected in {source}, and"
            f" {count(missing)} have none (first: example {first}): it tells of another corpus, tokenizer or window;"
            " score that model over this training set with the same lengths."
        )
    flags: Flags = known["recited_max"].combine_chunks().take(at).to_numpy(zero_copy_only=False)
    return Labels(flags.astype(bool), source, digest)


def labels_from_file(path: Path, features: Features) -> Labels:
    """Labels from what `kdmem score` wrote.

    Raises:
        DataError: it is no such table, or of other examples.
    """
    needed = ["digest", "status", "memorized", "ambiguous"]
    try:
        rows = pq.read_table(path, columns=needed)
        lengths = (rows.schema.metadata or {}).get(LENGTHS_KEY)
        rows = rows.cast(pa.schema([SCHEMA.field(name) for name in needed]))
        digest = sha256(path)
    except FileNotFoundError:
        raise DataError(
            f"A table of scores was expected at {path}, and there is no such file; check the path."
        ) from None
    except (OSError, ValueError, KeyError, pa.ArrowException):
        rows, lengths = None, None
    if rows is None or rows.column_names != needed:
        raise DataError(
            f"A table with the columns {', '.join(needed)} was expected in {path}, and it is none; write one with"
            " kdmem score MODEL TRAINING_SET --out scores.parquet."
        )
    own = features.source.extraction
    if lengths is not None and lengths != encode_lengths(own):
        raise DataError(
            f"Labels of prefix, suffix and window {encode_lengths(own).decode()} were expected in {path}, and its"
            f" scores are of {lengths.decode(errors='replace')}; score that model with the same lengths."
        )
    return labels_from_rows(rows, features, str(path), digest)
