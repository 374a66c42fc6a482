"""How time and memory of a run grow from some examples to ten times as many: `python benchmarks/growth.py`.

The verdicts of a shipped model on random token ids are scored with an empty store, each run in a process of its own.
Its time should grow ten times, and its memory by the table alone. Few examples come first, which are not measured.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pytest_kdmem.scoring.score import score
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.runtime import EXAMPLES_PER_SHARD

MODEL = Path(__file__).parents[1] / "fixtures/models/pythia/student"
LARGEST_TOKEN_ID = 1000
TIMES = 10


class Run(NamedTuple):
    """Seconds of a run, the peak of its process's memory, and the size of its table, in MB."""

    seconds: float
    peak: float
    table: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000, help="Examples of the smaller run.")
    parser.add_argument("--tokens", type=int, default=16, help="Tokens of each example, half of them prefix.")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--model", default=str(MODEL))
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.rows, options.tokens, options.model)))
        return
    print(f"{'examples':>10}{'s':>8}{'examples/s':>12}{'MB at most':>12}{'MB of table':>13}")
    runs: dict[int, list[Run]] = {options.rows: [], TIMES * options.rows: []}
    for _ in range(options.repeats):
        for rows, measured in runs.items():
            measured.append(measure_in_child(rows, options))
            run = measured[-1]
            print(f"{rows:>10}{run.seconds:>8.1f}{rows / run.seconds:>12.0f}{run.peak:>12.0f}{run.table:>13.1f}")
    few, many = (min(measured) for measured in runs.values())
    print(
        f"{TIMES} x the examples: {many.seconds / few.seconds:.2f} x the time (fastest runs),"
        f" {many.peak - few.peak:.0f} MB more at most, of which the table is {many.table - few.table:.0f}"
    )


def measure_in_child(rows: int, options: argparse.Namespace) -> Run:
    command = [sys.executable, __file__, "--measure", "--rows", str(rows)]
    command += ["--tokens", str(options.tokens), "--model", options.model]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return Run(*json.loads(output.splitlines()[-1]))


def measure(rows: int, tokens: int, model: str) -> Run:
    """Score random token ids and return what it took."""
    extraction = Extraction(tokens // 2, tokens // 2, tokens)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for name, size in (("first", EXAMPLES_PER_SHARD), ("all", rows)):
            ids = np.random.default_rng(len(name)).integers(0, LARGEST_TOKEN_ID, (size, tokens), dtype=np.int32)
            np.save(folder / f"{name}.npy", ids)
            start = time.perf_counter()
            table = score(
                Model(model),
                TrainingSet(str(folder / f"{name}.npy")),
                extraction,
                ScoreStore(folder / f"store-{name}"),
                metrics="verdict",
            ).rows
            seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    return Run(seconds, peak, table.nbytes / 1e6)


if __name__ == "__main__":
    main()
