"""This package beside its peers, at equal work: `python -m benchmarks.peers --size toy` (from the project's root).

Verdicts: decoding by transformers and vLLM, and the greedy check of lm-eval. A training step: TRL's trainer, Liger's
loss, and plain logits. Every side runs in a process of its own, all take turns, and their answers must agree. Peers
that are not installed are left out with a line; `--peers-python` and `--vllm-python` name environments that have them:

    pip install torch==2.13.0 transformers==5.19.0 trl==1.16.0 liger-kernel==0.8.5 lm-eval==0.4.13
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.peer_cases import SIZES, Case, Machine, prepared_job

ROOT = Path(__file__).parents[1]
# vLLM runs in the process that is measured, and takes one GiB for its cache on a CPU, where it would take all memory.
ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
# How far losses of a step may differ by rounding, relative to them.
ROUNDING = {"float32": 1e-3, "bfloat16": 3e-2}


class Side:
    """A process of `benchmarks.peer_process`."""

    def __init__(self, name: str, python: str, job_file: Path, log: Path) -> None:
        self.name, self.log = name, log
        self.runs: list[dict[str, Any]] = []
        self._process = subprocess.Popen(
            [python, "-m", "benchmarks.peer_process", name, str(job_file)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log.open("w"),
            text=True,
            env=ENVIRONMENT | os.environ,
        )

    def wait(self) -> str:
        """Wait until the side is ready; returns why it cannot be, or an empty string."""
        state = self._read()
        self.versions: dict[str, str] = state.get("versions", {})
        return str(state.get("skipped", ""))

    def run(self) -> None:
        """Run once; a side that failed fails again."""
        if self.runs and "skipped" in self.runs[-1]:
            self.runs.append(self.runs[-1])
            return
        assert self._process.stdin is not None
        self._process.stdin.write("run\n")
        self._process.stdin.flush()
        self.runs.append(self._read())

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            lines = self.log.read_text().strip().splitlines() or ["no message"]
            return {"skipped": f"ended with {self._process.wait()}: {lines[-1]}"[:160], "seconds": float("nan")}
        message: dict[str, Any] = json.loads(line)
        return message


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="toy")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="Only cases whose title contains this.")
    parser.add_argument("--dtype", choices=ROUNDING, help="bfloat16 on GPUs and float32 on CPUs by default.")
    parser.add_argument("--peers-python", default=sys.executable, help="Python that has trl, liger-kernel and lm-eval.")
    parser.add_argument("--vllm-python", help="Python that has vLLM; left out by default.")
    parser.add_argument("--json", type=Path, help="File to write all figures to.")
    options = parser.parse_args()
    machine, console = Machine.read(options.dtype), Console(width=110)
    console.print(
        f"{machine.processor}, {machine.cores} cores, {machine.memory_gib} GiB, {machine.device}, {machine.dtype}"
    )
    results = []
    for case in SIZES[options.size]:
        if options.only in case.title:
            sides = compare(case, machine, options, console)
            results.append(record(case, sides))
            console.print(table(case, results[-1]["sides"]))
    if options.json:
        options.json.write_text(json.dumps({"machine": vars(machine), "cases": results}, indent=1))


def compare(case: Case, machine: Machine, options: argparse.Namespace, console: Console) -> list[Side]:
    """Run all sides in turn, and check that they agree."""
    pythons = dict.fromkeys(case.sides, options.peers_python)
    pythons |= {name: sys.executable for name in case.sides if name.startswith("pytest-kdmem")}
    pythons |= {name: options.vllm_python for name in case.sides if name.startswith("vLLM")}
    sides: list[Side] = []
    with prepared_job(case, machine) as job_file, ExitStack() as stack:
        for name, python in pythons.items():
            if python is None:
                console.print(f"{name}: left out, because --vllm-python names no environment")
                continue
            sides.append(Side(name, python, job_file, job_file.with_name(f"{len(sides)}.log")))
            stack.callback(sides[-1].close)
        sides = [side for side in sides if is_ready(side, case, console)]
        for _ in range(options.rounds + 1):  # the first round warms up
            for side in sides:
                side.run()
    check_answers(sides, case, machine, console)
    return sides


def is_ready(side: Side, case: Case, console: Console) -> bool:
    reason = side.wait()
    if reason and side.name == case.sides[0]:
        raise SystemExit(side.log.read_text())
    if reason:
        console.print(f"{side.name}: left out, {reason}")
    return not reason


def check_answers(sides: Sequence[Side], case: Case, machine: Machine, console: Console) -> None:
    """Raise SystemExit unless all sides agree; in half precision verdicts near a tie may differ, and are counted."""
    expected = sides[0].runs[0]["answer"]
    for side in sides[1:]:
        answer = side.runs[0].get("answer")
        if answer is None:
            console.print(f"{side.name}: {side.runs[0]['skipped']}")
        elif case.is_step and abs(answer - expected) > ROUNDING[machine.dtype] * abs(expected):
            raise SystemExit(f"{case.title}: a loss of {expected} was expected of {side.name}; it gives {answer}.")
        elif not case.is_step and (differing := int(np.not_equal(answer, expected).sum())):
            if machine.dtype == "float32":
                raise SystemExit(f"{case.title}: {side.name} gives {differing} other verdicts.")
            console.print(f"{side.name}: {differing} of {len(expected)} verdicts differ")


def record(case: Case, sides: Sequence[Side]) -> dict[str, Any]:
    """All figures of a case."""
    own = [run["seconds"] for run in sides[0].runs[1:]]
    work = case.rows * (case.tokens - 1 if case.is_step else 1)
    entries = {}
    for side in sides:
        seconds = [run["seconds"] for run in side.runs[1:]]
        entries[side.name] = {
            "seconds": seconds,
            "per_second": work / statistics.median(seconds),
            "slower": statistics.median(theirs / ours for theirs, ours in zip(seconds, own, strict=True)),
            "peak_mib": side.runs[1].get("peak_mib"),
            "batch": side.runs[1].get("batch"),
            "versions": side.versions,
        }
    return {"title": case.title, "unit": "tokens" if case.is_step else "examples", "sides": entries}


def table(case: Case, entries: dict[str, dict[str, Any]]) -> Table:
    result = Table(title=case.title)
    unit = "tokens/s" if case.is_step else "examples/s"
    for heading in ("", unit, "time, relative", "peak MiB over the models", "memory, relative", "batch"):
        result.add_column(heading, justify="left" if not heading else "right")
    own = next(iter(entries.values()))["peak_mib"]
    for name, entry in entries.items():
        peak = entry["peak_mib"]
        result.add_row(
            name,
            f"{entry['per_second']:,.0f}",
            f"{entry['slower']:.2f}",
            "" if peak is None else f"{peak:,.0f}",
            "" if peak is None else f"{peak / own:.2f}",
            str(entry["batch"] or ""),
        )
    return result


if __name__ == "__main__":
    main()
