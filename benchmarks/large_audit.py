"""Seconds and peak memory of an audit's figures and reports once three models are scored, over millions of examples.

    python benchmarks/large_audit.py --rows 10000000

Three score tables of random rows are stored by shards, as an audit stores them. A process of its own reads them,
derives sets, bounds and gates, and writes the JSON and the HTML report. One example in twenty is recited by the
teacher, more than any model of the study recites.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from pytest_kdmem.auditing.build_result import build_result
from pytest_kdmem.auditing.gates import gate_from
from pytest_kdmem.auditing.report import Report
from pytest_kdmem.auditing.scored_audit import ScoredAudit
from pytest_kdmem.corpus.shards import CorpusRecord, rows_digest
from pytest_kdmem.engines.numerics import Numerics
from pytest_kdmem.metrics.estimate import Comparison
from pytest_kdmem.metrics.inheritance import compute_inheritance
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.report.formats import write_report
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.scoring.stored_parts import StoredParts
from pytest_kdmem.scoring.table import SCHEMA, TOLERANCE_KEY, ScoreTable
from pytest_kdmem.specs.checkpoint import Checkpoint
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.runtime import EXAMPLES_PER_SHARD, RunSettings

RATES = {"teacher": 0.05, "baseline": 0.03, "student": 0.01}
COPIED = 0.01  # share of the examples that are copies of an earlier one


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--sampled", action="store_true", help="Bounds of a sample, not of a whole training set.")
    parser.add_argument("--keep", type=Path, help="Folder to keep store and reports in; a store there is read again.")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options.keep, exhaustive=not options.sampled)
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.keep or Path(scratch)
        if not (folder / "shards.txt").exists():
            store_scores(folder, options.rows)
        sampled = ["--sampled"] if options.sampled else []
        subprocess.run([sys.executable, __file__, "--measure", "--keep", str(folder), *sampled], check=True)


def measure(folder: Path, *, exhaustive: bool) -> None:
    """Print the seconds of each step and the memory of this process after it."""
    print(f"{'':<24}{'s':>8}{'MB held':>10}{'MB at most':>12}")
    shards = tuple((folder / "shards.txt").read_text().split())
    with step("packages"):
        pass
    with step("three tables read"):
        store = ScoreStore(folder)
        tables = {role: read_table(store, role, shards, exhaustive=exhaustive) for role in RATES}
    start = time.perf_counter()
    with step("sets and bounds"):
        memorizations = {role: Memorization(role, table) for role, table in tables.items()}
        inheritance = compute_inheritance(**memorizations)
        rates = [memorization.rate for memorization in memorizations.values()]
        estimates = [*rates, inheritance.ratio, inheritance.share, inheritance.easy_share, inheritance.reduction]
    with step("gates and record"):
        gates = [
            replace(gate_from(f"test_{index}", f"audits/test_release.py::test_{index}", comparison), path="audits")
            for index, comparison in enumerate(Comparison(estimate, "<=", 0.04) for estimate in estimates)
        ]
        scored = ScoredAudit("", Extraction(), 0.95, memorizations, {}, {}, {}, inheritance, None, ())
        report = Report((build_result(scored, {}, gates, shows_text=False, run=RunSettings(offline=True)),))
    for ending in (".json", ".html"):
        with step(f"{ending[1:].upper()} report"):
            write_report(report, folder / f"audit{ending}")
    seconds = time.perf_counter() - start
    sizes = " and ".join(f"{(folder / f'audit{ending}').stat().st_size / 1e6:.1f}" for ending in (".json", ".html"))
    rows = len(tables["teacher"].rows)
    print(f"{rows} examples x {len(tables)} models: {seconds:.1f} s from tables to reports of {sizes} MB")


@contextmanager
def step(name: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds = time.perf_counter() - start
    status = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    held = int(status["VmRSS"].split()[0]) * 1024 / 1e6
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    print(f"{name:<24}{seconds:>8.1f}{held:>10.0f}{most:>12.0f}", flush=True)


def read_table(store: ScoreStore, role: str, shards: tuple[str, ...], *, exhaustive: bool) -> ScoreTable:
    """The stored scores of one model."""
    tables = StoredParts(store, ((f"{role}-b-c",),), (SCHEMA,)).read_all(shards)
    assert tables is not None
    rows = pa.concat_tables([table.replace_schema_metadata(None) for table in tables[0]])
    return ScoreTable(
        Model(f"runs/{role}"),
        Checkpoint(Path(), role, "tokenizer", "text", 1_400_000_000, 50_304, None, "float32", "GPTNeoX"),
        TrainingSet("data/train.jsonl"),
        CorpusRecord(len(rows), 0, exhaustive, shards),
        Numerics("transformers", "cpu", "float32", "1", "1"),
        Extraction(),
        rows,
        1e-4,
        0,
    )


def store_scores(folder: Path, rows: int) -> None:
    """Store random scores of three models, and the names of the shards."""
    store, rng, shards = ScoreStore(folder), np.random.default_rng(0), []
    for first in range(0, rows, EXAMPLES_PER_SHARD):
        ids = np.arange(first, min(first + EXAMPLES_PER_SHARD, rows))
        sequences = np.where(rng.random(len(ids)) < COPIED, ids // 2, ids)
        # What a model recites, larger models mostly recite, too; copies are equally difficult.
        difficulty = (sequences * 0.6180339887498949) % 1
        same = {
            "example_id": ids,
            # Letters as evenly spread as those of real digests, the same for the same sequence.
            "digest": [
                f"{sequence * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128:032x}" for sequence in sequences.tolist()
            ],
            "status": np.full(len(ids), "scored"),
            "zlib_bytes": rng.normal(500, 80, len(ids)).astype(np.int32),
        }
        for role, rate in RATES.items():
            table = pa.table(same | scores(difficulty < rate, rng)).select(SCHEMA.names).cast(SCHEMA)
            store.write_shard(
                f"{role}-b-c", rows_digest(table), table.replace_schema_metadata({TOLERANCE_KEY: b"0.0001"})
            )
        shards.append(rows_digest(table))
    (folder / "shards.txt").write_text("\n".join(shards))


def scores(memorized: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Random scores of one model, by column."""
    rows = len(memorized)
    nll = np.where(memorized, rng.gamma(2, 0.2, rows), rng.normal(3, 0.6, rows)).astype(np.float32)
    margin = np.where(memorized, rng.gamma(2, 1, rows), -rng.gamma(3, 1.5, rows)).astype(np.float32)
    return {
        "memorized": memorized,
        "ambiguous": np.abs(margin) < 1e-3,
        "margin": margin,
        "logprob": (-50 * nll).astype(np.float32),
        "nll": nll,
        "entropy": nll,
        "first_miss": np.where(memorized, -1, 3).astype(np.int16),
    }


if __name__ == "__main__":
    main()
