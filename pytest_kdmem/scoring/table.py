"""The score table, a row per example, from which every metric is computed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

import pyarrow as pa
import pyarrow.compute as pc

from pytest_kdmem.base.typed_json import from_json, to_json
from pytest_kdmem.corpus.shards import CorpusRecord
from pytest_kdmem.engines.numerics import Numerics
from pytest_kdmem.engines.protocol import Metrics, Scores, Screening
from pytest_kdmem.specs.checkpoint import Checkpoint
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet

# Users read these columns, so their names and order stay.
SCHEMA = pa.schema(
    [
        ("example_id", pa.int64()),
        ("digest", pa.string()),
        ("status", pa.string()),
        ("memorized", pa.bool_()),
        ("ambiguous", pa.bool_()),
        ("margin", pa.float32()),
        ("logprob", pa.float32()),
        ("nll", pa.float32()),
        ("entropy", pa.float32()),
        ("first_miss", pa.int16()),
        ("zlib_bytes", pa.int32()),
    ]
)

# Columns behind these where all metrics were scored; null if the example is too short. `window_columns` fills them.
WINDOW_SCHEMA = pa.schema(
    [
        ("tokens", pa.int32()),
        ("suffix_at", pa.int32()),
        ("hits", pa.binary()),
        ("unsure", pa.binary()),
        ("min_k", pa.float32()),
        ("min_k_plus", pa.float32()),
        ("shortfall", pa.float32()),
    ]
)


def schema_of(metrics: Metrics) -> pa.Schema:
    """The columns of a run that scores these metrics."""
    return SCHEMA if metrics == "verdict" else pa.schema([*SCHEMA, *WINDOW_SCHEMA])


# Status, in the tables of an audit and in no stored one, of an example of the teacher set that is in no figure, as its
# suffix stands in the training set.
IN_TRAINING_SET = "in_training_set"

# KL(teacher ‖ baseline) of each example; null if the example is too short.
KL_SCHEMA = pa.schema([("example_id", pa.int64()), ("digest", pa.string()), ("kl", pa.float32())])

# Metadata key of an exported table: a digest covers the window only, so the lengths are written beside it.
LENGTHS_KEY = b"kdmem.lengths"


def encode_lengths(extraction: Extraction) -> bytes:
    """The value of that key: prefix, suffix and window tokens."""
    return f"{extraction.prefix_tokens}, {extraction.suffix_tokens}, {extraction.window_tokens}".encode()


# Metadata of the stored rows of a shard: their tolerance, and what was screened and decided.
TOLERANCE_KEY = b"tolerance"
SCREENING_KEY = b"screening"


def digests_in_training_set(rows: pa.Table) -> list[str]:
    """Digests of the examples of a teacher set that are in no figure, as they stand in the training set, ascending."""
    return sorted(pc.unique(rows["digest"].filter(pc.equal(rows["status"], IN_TRAINING_SET))).to_pylist())


def score_metadata(scores: Scores) -> dict[bytes, bytes]:
    """What the rows of a shard say of their scores, beside the columns."""
    metadata = {TOLERANCE_KEY: repr(scores.tolerance).encode()}
    if scores.screening is not None:
        metadata[SCREENING_KEY] = _encode_screening(scores.screening)
    return metadata


def _encode_screening(screening: Screening) -> bytes:
    return json.dumps(to_json(screening)).encode()


def tolerance_of(tables: Iterable[pa.Table]) -> float:
    """The widest tolerance of the shards of a run, in logits."""
    return max(float(table.schema.metadata[TOLERANCE_KEY]) for table in tables)


def screening_of(tables: Iterable[pa.Table]) -> Screening | None:
    """The counts of all shards of a run together; None if it was in one dtype."""
    stored = (table.schema.metadata.get(SCREENING_KEY) for table in tables)
    counts = [from_json(Screening, json.loads(content)) for content in stored if content is not None]
    return reduce(add, counts) if counts else None


def join_rows(tables: Sequence[pa.Table]) -> pa.Table:
    """The rows of several shards as one table of which every column lies in one piece, with what they say of all."""
    metadata = {}
    if TOLERANCE_KEY in (tables[0].schema.metadata or {}):  # tables of divergences have none
        metadata[TOLERANCE_KEY] = repr(tolerance_of(tables)).encode()
        if (screening := screening_of(tables)) is not None:
            metadata[SCREENING_KEY] = _encode_screening(screening)
    rows = pa.concat_tables([table.replace_schema_metadata(None) for table in tables])
    return rows.combine_chunks().replace_schema_metadata(metadata)


@dataclass(frozen=True)
class ScoreTable:
    """Scores of one model over one training set, with what they were computed from.

    Attributes:
        model: The scored model.
        checkpoint: The model's files as they were when it was scored.
        training_set: The training set.
        record: The shards of the training set and its counts.
        numerics: Engine, device, dtype and versions.
        extraction: Lengths of prefix, suffix and window.
        rows: The scores by SCHEMA, and by WINDOW_SCHEMA where all metrics were scored.
        tolerance: Half the width of the ambiguous band, in logits.
        scored_now: Number of examples that were scored in this run and not read from the store.
        notes: Warnings about how the training set was read.
        screening: Counts of a run in two dtypes; None of a run in one.
        noise: Why what the model does not recite clearly shows nothing; empty if it may show something.
    """

    model: Model
    checkpoint: Checkpoint
    training_set: TrainingSet
    record: CorpusRecord
    numerics: Numerics
    extraction: Extraction
    rows: pa.Table
    tolerance: float
    scored_now: int
    notes: tuple[str, ...] = ()
    screening: Screening | None = None
    noise: str = ""


@dataclass(frozen=True)
class PairTable:
    """Scores of teacher and baseline over one training set, every column filled, and the divergence of the two.

    Attributes:
        teacher: The teacher's scores.
        baseline: The baseline's scores.
        kl: By KL_SCHEMA, for each example the mean over the window's predicted tokens of KL(teacher ‖ baseline) in
            nats, over the tokenizer's vocabulary.
    """

    teacher: ScoreTable
    baseline: ScoreTable
    kl: pa.Table
