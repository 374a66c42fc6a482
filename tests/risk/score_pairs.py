"""Pairs of score tables written by hand: features are known, and no model is run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from pytest_kdmem.corpus.shards import CorpusRecord
from pytest_kdmem.engines.numerics import Numerics
from pytest_kdmem.scoring.table import KL_SCHEMA, SCHEMA, PairTable, ScoreTable
from pytest_kdmem.specs.checkpoint import Checkpoint
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet

EXTRACTION = Extraction(50, 50, 128)


def make_pair(
    n: int = 600,
    recited: int = 40,
    *,
    seed: int = 0,
    apart: float = 3.0,
    exhaustive: bool = True,
    digests: list[str] | None = None,
    **columns: np.ndarray,
) -> PairTable:
    """A pair over n rows, of which teacher and baseline recite the first; these have lower perplexity and KL.

    Args:
        n: Number of rows.
        recited: Number of rows that both models recite.
        seed: Seed of the random columns.
        apart: Distance of the recited rows from the others.
        exhaustive: Whether the rows are a whole training set.
        digests: Digests of the rows; all different if None.
        **columns: Columns ``nll``, ``zlib_bytes`` and ``kl`` in place of random ones.
    """
    rng = np.random.default_rng(seed)
    memorized = np.arange(n) < recited
    names = digests or [f"{row:032x}" for row in range(n)]
    record = CorpusRecord(n, 0, exhaustive, (f"shard{seed}",))

    def scores(role: str) -> ScoreTable:
        nll = columns.get("nll", rng.normal(0, 0.5, n) + apart * ~memorized + 0.5).astype(np.float32)
        rows = {
            "example_id": np.arange(n),
            "digest": names,
            "status": ["scored"] * n,
            "memorized": memorized,
            "ambiguous": np.zeros(n, bool),
            "margin": np.where(memorized, 1, -1).astype(np.float32),
            "logprob": (-50 * nll).astype(np.float32),
            "nll": nll,
            "entropy": rng.random(n).astype(np.float32),
            "first_miss": np.where(memorized, -1, 3).astype(np.int16),
            "zlib_bytes": columns.get("zlib_bytes", rng.integers(300, 500, n)).astype(np.int32),
        }
        checkpoint = Checkpoint(Path(), role, "tokenizer", "text", 1, 300, None, "float32", "GPTNeoX")
        numerics = Numerics("transformers", "cpu", "float32", "2.0", "5.0")
        table = pa.table(rows, schema=SCHEMA)
        return ScoreTable(
            Model(role), checkpoint, TrainingSet("train.jsonl"), record, numerics, EXTRACTION, table, 1e-4, 0
        )

    kl = columns.get("kl", rng.gamma(2, 0.1, n) + apart * 0.2 * ~memorized).astype(np.float32)
    divergence = pa.table({"example_id": np.arange(n), "digest": names, "kl": kl}, schema=KL_SCHEMA)
    return PairTable(scores("teacher"), scores("baseline"), divergence)
