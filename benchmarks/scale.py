"""Cost of large audits: `python benchmarks/scale.py` (measured at small size, then extrapolated).

Arithmetic grows with parameters × tokens that must be read; reading the text and the table grow with the examples.
"""

from __future__ import annotations

import argparse
import resource
import secrets
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from pytest_kdmem.corpus.shards import CorpusReader, CorpusRecord, rows_digest
from pytest_kdmem.corpus.tokenizer import load_tokenizer
from pytest_kdmem.engines.numerics import Numerics
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.scoring.score import score
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.scoring.table import SCHEMA, ScoreTable
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.runtime import EXAMPLES_PER_SHARD

FIXTURES = Path(__file__).parents[1] / "fixtures"
EXTRACTION = Extraction(prefix_tokens=50, suffix_tokens=50, window_tokens=128)
SIZES = (1_000_000, 100_000_000, 10_000_000_000)
STUDENT_PARAMETERS = 1.4e9
# Assumed rate of a GPU in bfloat16; replace it by the rate that `benchmarks/study_shapes.py` prints on yours.
ASSUMED_FLOPS = 300e12


@dataclass
class Timer:
    seconds: float = 0.0


@contextmanager
def timed() -> Iterator[Timer]:
    timer, start = Timer(), time.perf_counter()
    yield timer
    timer.seconds = time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=str(FIXTURES / "models/pythia/teacher"))
    parser.add_argument("--rows", type=int, default=1_000_000, help="Rows of the table that is stored and read.")
    options = parser.parse_args()
    model, data = Model(options.model), TrainingSet(str(FIXTURES / "corpus/training.jsonl.gz"))
    checkpoint = open_checkpoint(model)

    reader = CorpusReader(data, load_tokenizer(checkpoint.folder), EXTRACTION)
    with timed() as reading:
        examples = sum(len(shard.examples) for shard in reader)
    read_rate = examples / reading.seconds
    print(f"reading, tokenising, sharding   {read_rate:10,.0f} examples/s")

    tokens = {}
    for metrics in ("verdict", "all"):
        with tempfile.TemporaryDirectory() as folder, timed() as scoring:
            scores = score(model, data, EXTRACTION, ScoreStore(Path(folder)), metrics=metrics)
        misses = scores.rows["first_miss"].to_numpy()
        tokens_read = np.where(misses < 0, EXTRACTION.suffix_tokens, misses + 1) + EXTRACTION.prefix_tokens
        tokens[metrics] = float(np.nanmean(tokens_read)) if metrics == "verdict" else EXTRACTION.window_tokens - 1.0
        flops = 2 * checkpoint.parameters * tokens[metrics] * len(misses) / scoring.seconds
        print(
            f"scoring, metrics={metrics:<8}       {len(misses) / scoring.seconds:10,.0f} examples/s,"
            f" {tokens[metrics]:.0f} tokens each to look at, {flops / 1e9:.0f} GFLOP/s of them"
        )

    with tempfile.TemporaryDirectory() as folder:
        stored(Path(folder), model, data, options.rows)

    print(f"extrapolated to {STUDENT_PARAMETERS / 1e9:g} B parameters at {ASSUMED_FLOPS / 1e12:g} TFLOP/s (assumed):")
    for size in SIZES:
        per_metric = (
            f"{metrics} {2 * STUDENT_PARAMETERS * tokens[metrics] * size / ASSUMED_FLOPS / 3600:,.1f} GPU hours"
            for metrics in tokens
        )
        print(
            f"{size:>14,} examples   {', '.join(per_metric)}, reading {size / read_rate / 3600:,.1f} h of one process"
        )


def stored(folder: Path, model: Model, data: TrainingSet, rows: int) -> None:
    """Write a table of random rows to a store, read it again and derive the rate."""
    store, random = ScoreStore(folder), np.random.default_rng(0)
    digests = []
    with timed() as writing:
        for first in range(0, rows, EXAMPLES_PER_SHARD):
            table = random_rows(first, min(EXAMPLES_PER_SHARD, rows - first), random)
            digests.append(rows_digest(table))
            store.write_shard("a-b-c", digests[-1], table)
    size = store.info().size_bytes
    with timed() as reading:
        tables = [store.read_shard("a-b-c", digest) for digest in digests]
    table = pa.concat_tables([shard for shard in tables if shard is not None])
    record = CorpusRecord(rows, 0, True, tuple(digests))
    numerics = Numerics("transformers", "cpu", "float32", "", "")
    scores = ScoreTable(model, open_checkpoint(model), data, record, numerics, EXTRACTION, table, 0.0, 0)
    with timed() as deriving:
        assert Memorization("student", scores).rate.n == rows
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(f"table of {rows:,} rows           {size / rows:.0f} bytes a row stored, {table.nbytes / rows:.0f} in memory")
    print(f"writing, reading, its rate      {writing.seconds:.1f} s, {reading.seconds:.1f} s, {deriving.seconds:.1f} s")
    print(f"peak memory of this process     {peak / 2**20:.0f} MiB")


def random_rows(first: int, rows: int, random: np.random.Generator) -> pa.Table:
    """Rows of random scores, one in a hundred of them memorized."""
    memorized = random.random(rows) < 0.01
    floats = {name: random.normal(size=rows).astype(np.float32) for name in ("margin", "logprob", "nll", "entropy")}
    columns = {
        "example_id": np.arange(first, first + rows),
        "digest": [secrets.token_hex(16) for _ in range(rows)],
        "status": ["scored"] * rows,
        "memorized": memorized,
        "ambiguous": np.zeros(rows, dtype=bool),
        "first_miss": np.where(memorized, -1, random.integers(0, 50, rows)).astype(np.int16),
        "zlib_bytes": random.integers(100, 900, rows).astype(np.int32),
        **floats,
    }
    return pa.table({name: columns[name] for name in SCHEMA.names}, schema=SCHEMA)


if __name__ == "__main__":
    main()
