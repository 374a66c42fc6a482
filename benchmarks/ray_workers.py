"""Speed of scoring by Ray workers and by this process: `python benchmarks/ray_workers.py`.

Each has one thread, and loading is not counted. The last line is the rate at which the driver makes shards without any
scoring, which no cluster can exceed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

import torch

from pytest_kdmem.base.progress import NO_PROGRESS
from pytest_kdmem.corpus.shards import CorpusReader, Shard
from pytest_kdmem.corpus.tokenizer import load_tokenizer
from pytest_kdmem.engines.numerics import resolve_numerics
from pytest_kdmem.scoring.executors.local import LocalExecutor
from pytest_kdmem.scoring.executors.protocol import Executor
from pytest_kdmem.scoring.executors.ray import RayExecutor
from pytest_kdmem.scoring.job import Job
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.runtime import RunSettings

FIXTURES = Path(__file__).parents[1] / "fixtures"
EXTRACTION = Extraction(prefix_tokens=50, suffix_tokens=50, window_tokens=128)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default=str(FIXTURES / "models/pythia/student"))
    parser.add_argument("--data", default=str(FIXTURES / "corpus/training.jsonl.gz"))
    parser.add_argument("--shards", type=int, default=48)
    parser.add_argument("--examples-per-shard", type=int, default=64)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    torch.set_num_threads(1)
    settings = RunSettings(device="cpu", examples_per_shard=options.examples_per_shard)
    model = Model(options.model)
    checkpoint = open_checkpoint(model)
    numerics = resolve_numerics(model, checkpoint, engine="auto", device="cpu", dtype="auto", metrics="verdict")
    job = Job(model, checkpoint, EXTRACTION, numerics, "verdict", settings)

    def shards() -> Iterator[Shard]:
        tokenizer = load_tokenizer(checkpoint.folder)
        return iter(
            CorpusReader(
                TrainingSet(options.data), tokenizer, EXTRACTION, examples_per_shard=options.examples_per_shard
            )
        )

    executors: dict[str, Executor] = {"local": LocalExecutor()}
    executors |= {f"ray, {count} worker(s)": RayExecutor(workers=count) for count in options.workers}
    for name, executor in executors.items():
        print(f"{name:<18} {_rate(executor, job, shards(), options.shards):8.0f} examples/s")
    start = time.perf_counter()
    example_count = sum(len(shard.examples) for shard in shards())
    print(f"{'driver alone':<18} {example_count / (time.perf_counter() - start):8.0f} examples/s")


def _rate(executor: Executor, job: Job, shards: Iterable[Shard], count: int) -> float:
    """Examples per second over the second half of the shards, when every worker has loaded its model."""
    scored_examples = 0
    with closing(executor.score(job, islice(shards, count), NO_PROGRESS)) as scored:
        for _ in range(count // 2):
            next(scored)
        start = time.perf_counter()
        for _, table in scored:
            scored_examples += len(table)
    return scored_examples / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
