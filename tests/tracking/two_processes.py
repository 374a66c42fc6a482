"""A training of one process group with the callback, started by `torchrun`, and what a greedy loop counts beside it.

The folder named on the command line holds ``ids.npy``; each process writes a file there with what it measured.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
from torch.distributed.fsdp import FSDPModule
from transformers import TrainerCallback

from pytest_kdmem import MemorizationCallback
from tests.distill import fsdp_on_cpu  # noqa: F401 - shards on CPUs as well
from tests.tracking.trainings import LENGTHS, GreedyLoop, tiny_model, trainer_of, write_set


class Checked(GreedyLoop):
    """Sees to it that the model is sharded if it should be."""

    def on_train_begin(self, args, state, control, model=None, **context):
        assert isinstance(model, FSDPModule) == (os.environ.get("ACCELERATE_USE_FSDP") == "true"), type(model)
        super().on_train_begin(args, state, control, model=model, **context)


class RunsOutOfMemory(TrainerCallback):
    """Lets the model run out of memory wherever it is not trained, once the training has begun."""

    def on_step_begin(self, args, state, control, model=None, **context):
        forward = type(model).forward

        def run_out(*arguments, **inputs):
            if not model.training and len(inputs["input_ids"]) <= 3:
                raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
            return forward(model, *arguments, **inputs)

        model.forward = run_out


def main() -> None:
    folder = Path(sys.argv[1])
    rank = int(os.environ["RANK"])
    ids = np.load(folder / "ids.npy")
    own = folder / str(rank)
    own.mkdir()
    callback = MemorizationCallback(
        write_set(own, ids), every=10, extraction=LENGTHS, gates={"max_memorization_rate": 0.5}, batch_size=3
    )
    loop = Checked(ids, 10)
    fails = [RunsOutOfMemory()] if sys.argv[2:] and rank == 1 else []
    trainer = trainer_of(folder / "out", ids, loop, *fails, callback, model=tiny_model(), per_device_train_batch_size=8)
    trainer.train()
    content = {
        "counts": loop.counts,
        "rates": {step: [rate.k, rate.n, rate.low, rate.high] for step, rate in callback.rates.items()},
        "stopped": trainer.state.global_step,
        "failed": callback.failed,
    }
    (folder / f"{rank}.json").write_text(json.dumps(content))


if __name__ == "__main__":
    main()
