"""Pairs of score tables written by hand: features are known, and nothing is run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from pytest_kdmem.corpus.shards import CorpusRecord
from pytest_kdmem.engines.numerics import Numerics
from pytest_kdmem.scoring.table import KL_SCHEMA, SCHEMA, PairTable, ScoreTable
from pytest_kdmem.specs.checkpoint import Checkpoint
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet


@pytest.fixture(scope="session")
def make_pair() -> Callable[..., PairTable]:
    """A pair over n rows; ``both`` are recited by teacher and baseline, and have low perplexity, KL and zlib bytes."""

    def make(
        n: int = 600,
        both: int = 40,
        *,
        seed: int = 0,
        apart: float = 3.0,
        exhaustive: bool = True,
        extraction: Extraction | None = None,
        digests: list[str] | None = None,
        **columns: np.ndarray,
    ) -> PairTable:
        rng = np.random.default_rng(seed)
        memorized = np.arange(n) < both
        names = digests or [f"{at:032x}" for at in range(n)]

        def scores(which: str) -> ScoreTable:
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
            checkpoint = Checkpoint(Path(), which, "tokenizer", "text", 1, 300, None, "float32", "GPTNeoX")
            record = CorpusRecord(n, 0, exhaustive, (f"shard{seed}",))
            numerics = Numerics("transformers", "cpu", "float32", "2.0", "5.0")
            source = TrainingSet("train.jsonl")
            lengths = extraction or Extraction(50, 50, 128)
            table = pa.table(rows, schema=SCHEMA)
            return ScoreTable(Model(which), checkpoint, source, record, numerics, lengths, table, 1e-4, 0)

        kl = columns.get("kl", rng.gamma(2, 0.1, n) + apart * 0.2 * ~memorized).astype(np.float32)
        divergence = pa.table({"example_id": np.arange(n), "digest": names, "kl": kl}, schema=KL_SCHEMA)
        return PairTable(scores("teacher"), scores("baseline"), divergence)

    return make
