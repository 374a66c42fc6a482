"""The one table that every metric is a function of: a row per example."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from pytest_kdmem.corpus.shards import CorpusRecord
from pytest_kdmem.engines.numerics import Numerics
from pytest_kdmem.specs.checkpoint import Checkpoint
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet

# One row per example; the columns are what users read, so their names and order stay.
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

# What two models make of each example together: null where it is too short.
KL_SCHEMA = pa.schema([("example_id", pa.int64()), ("digest", pa.string()), ("kl", pa.float32())])


# Metadata of a table that stands by itself, as digests tell of the window only.
LENGTHS = b"kdmem.lengths"


def lengths_of(extraction: Extraction) -> bytes:
    """As that metadata has them."""
    return f"{extraction.prefix_tokens}, {extraction.suffix_tokens}, {extraction.window_tokens}".encode()


@dataclass(frozen=True)
class ScoreTable:
    """Scores of one model over one training set, and where they came from.

    ``rows`` follows SCHEMA; ``tolerance`` is in logits; ``scored_now`` counts examples that were not in the store.
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


@dataclass(frozen=True)
class PairTable:
    """Scores of teacher and baseline over one training set, every column filled, and how far the two are apart.

    ``kl`` follows KL_SCHEMA: of each example the mean over the window's predicted tokens of KL(teacher ‖ baseline) in
    nats, over the tokenizer's vocabulary.
    """

    teacher: ScoreTable
    baseline: ScoreTable
    kl: pa.Table
