"""Started by `torchrun`: several trainings of one group of processes, sharded by FSDP2 where the environment says so.

accelerate shards on accelerators only, and on CPUs takes ACCELERATE_USE_FSDP for DDP without a word; here its own code
for FSDP2 runs on CPUs. The file named on the command line holds commands as JSON; at the step ``stop_at`` of one,
SIGTERM comes to the second process.
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
from torch.nn.parallel import DistributedDataParallel

_begin = AcceleratorState.__init__


def _sharded_on_cpu(self, *arguments, fsdp_plugin=None, **more):
    _begin(self, *arguments, fsdp_plugin=fsdp_plugin, **more)
    if fsdp_plugin is not None:
        self.distributed_type = DistributedType.FSDP
        self.fsdp_plugin = fsdp_plugin


AcceleratorState.__init__ = _sharded_on_cpu


def main() -> None:
    from pytest_kdmem.cli import main as kdmem
    from pytest_kdmem.distill.callback import DistillationCallback

    wanted = FSDPModule if os.environ.get("ACCELERATE_USE_FSDP") == "true" else DistributedDataParallel
    stop_at = None
    step_ends = DistillationCallback.on_step_end

    def on_step_end(self, args, state, control, **more):
        assert isinstance(self._trainer.model_wrapped, wanted), type(self._trainer.model_wrapped)
        if state.global_step == stop_at and args.process_index == 1:  # the other hears of it from this one
            signal.raise_signal(signal.SIGTERM)
        return step_ends(self, args, state, control, **more)

    DistillationCallback.on_step_end = on_step_end
    codes = []
    for command in json.loads(Path(sys.argv[1]).read_text()):
        stop_at = command["stop_at"]
        try:
            kdmem(command["arguments"])
        except SystemExit as ended:
            codes.append(ended.code)
    Path(sys.argv[1]).with_suffix(f".{os.environ['RANK']}").write_text(json.dumps(codes))


if __name__ == "__main__":
    main()
