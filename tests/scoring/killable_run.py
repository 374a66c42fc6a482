"""Script of a run that prints a line for each file it stores, so that a test can kill it at a given point.

Its arguments: the model, the training set, the store and the executor.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from pytest_kdmem.scoring.score import score
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.runtime import RunSettings


class PrintingStore(ScoreStore):
    def write_shard(self, key, shard, table):
        super().write_shard(key, shard, table)
        print(shard, flush=True)
        time.sleep(0.05)


if __name__ == "__main__":
    model, data, root, executor = sys.argv[1:]
    print("started", flush=True)
    score(
        Model(model),
        TrainingSet(data),
        Extraction(50, 50, 100),
        PrintingStore(Path(root)),
        settings=RunSettings(executor=executor, workers=1, examples_per_shard=8),
    )
