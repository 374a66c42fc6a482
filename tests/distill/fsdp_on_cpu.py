"""Several trainings of one process group, started by `torchrun` and sharded by FSDP2 if the environment asks for it.

accelerate shards on accelerators only: on CPUs it takes ACCELERATE_USE_FSDP for DDP without a message. Here its code
for FSDP2 runs on CPUs. The file named on the command line holds commands as JSON; at the step ``stop_at`` of a command,
the second process receives SIGTERM.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

from accelerate.state import AcceleratorState
from accelerate.utils import DistributedType
from torch.distributed.fsdp import FSDPModule
from transformers import TrainerCallback, trainer

_initialise = AcceleratorState.__init__


def _initialise_on_cpu(self, *arguments, fsdp_plugin=None, **settings):
    _initialise(self, *arguments, fsdp_plugin=fsdp_plugin, **settings)
    if fsdp_plugin is not None:
        self.distributed_type = DistributedType.FSDP
        self.fsdp_plugin = fsdp_plugin


AcceleratorState.__init__ = _initialise_on_cpu


class StopAt(TrainerCallback):
    """Sends SIGTERM to the second process at the end of a step; the first process learns of it from the second."""

    step: int | None = None

    def on_step_end(self, args, state, control, model=None, **context):
        is_sharded = os.environ.get("ACCELERATE_USE_FSDP") == "true"
        assert isinstance(model, FSDPModule) == is_sharded, type(model)
        if state.global_step == self.step and args.process_index == 1:
            signal.raise_signal(signal.SIGTERM)


def main() -> None:
    from pytest_kdmem.cli import main as kdmem

    stop = StopAt()
    trainer.DEFAULT_CALLBACKS.append(stop)
    exit_codes = []
    for command in json.loads(Path(sys.argv[1]).read_text()):
        stop.step = command["stop_at"]
        try:
            kdmem(command["arguments"])
        except SystemExit as exit_:
            exit_codes.append(exit_.code)
    Path(sys.argv[1]).with_suffix(f".{os.environ['RANK']}").write_text(json.dumps(exit_codes))


if __name__ == "__main__":
    main()
