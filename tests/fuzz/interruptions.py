"""Interrupts a scoring run at every point, damages its store, fills its disk, and compares what the next run makes.

`python -m tests.fuzz.interruptions --kills 300 --damages 200 --disks 50` prints a table. The next run has to write the
very bytes of an undisturbed one: a row that is lost or doubled would change them.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.fuzz.scoring_trial import BROKEN, DONE, REFUSED, Trial
from tests.fuzz.shard_damages import DAMAGES

OPERATIONS = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.listdir", "os.scandir", "os.chmod")
# Full disk, no more files, input or output error.
WRITE_ERRORS = (28, 122, 5)


@dataclass
class Outcome:
    """What became of the disturbed runs, and of those after them.

    Attributes:
        points: Number of disturbances.
        disturbed: Number of runs that did not end well, by how they ended.
        findings: Runs that broke with another error than ours, and later runs that wrote other bytes.
    """

    points: int = 0
    disturbed: dict[str, int] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)


def at_operation(folder: Path, number: int, act: Callable[[], object]) -> Callable[[], None]:
    """Return what makes a process act at its n-th operation on files of a folder, from 0."""

    def watch() -> None:
        operations = iter(range(sys.maxsize))

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            is_ours = event in OPERATIONS and str(arguments[0]).startswith(str(folder))
            if is_ours and next(operations) == number:
                act()

        sys.addaudithook(hook)

    return watch


def killed_at_operations(trial: Trial, points: int) -> Outcome:
    """Kill runs by SIGKILL at each of their operations on files, once or several times in a row."""
    outcome, number = Outcome(), 0
    kill = lambda: os.kill(os.getpid(), signal.SIGKILL)  # noqa: E731
    trial.forget()
    while outcome.points < points:
        code = trial.run(at_operation(trial.folder, number, kill))
        outcome.points += 1
        _count(outcome, code)
        # Every second store is killed again before it is made whole.
        if outcome.points % 2 or code == DONE:
            if not trial.is_whole():
                outcome.findings.append(f"killed at operation {number}")
            trial.forget()
        number = 0 if code == DONE else number + 1
    return outcome


def killed_at_random(trial: Trial, points: int, seed: int) -> Outcome:
    """Kill runs by SIGKILL or SIGTERM after random times."""
    outcome, random_ = Outcome(), random.Random(seed)
    for _ in range(points):
        trial.forget()

        def arm(seconds: float = random_.uniform(0.0, 0.5)) -> None:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-4))

        _count(outcome, trial.run(arm))
        outcome.points += 1
        if not trial.is_whole():
            outcome.findings.append("killed at random")
    return outcome


def damaged(trial: Trial, points: int, seed: int) -> Outcome:
    """Damage a stored shard in one of several ways before a run."""
    outcome, random_ = Outcome(), random.Random(seed)
    trial.forget()
    trial.run()
    for number in range(points):
        shards = sorted(trial.store.rglob("*.parquet"))
        victim, other = random_.sample(shards, 2)
        way = DAMAGES[number % len(DAMAGES)]
        way(victim, other, random_)
        outcome.points += 1
        outcome.disturbed[way.__name__] = outcome.disturbed.get(way.__name__, 0) + 1
        if not trial.is_whole():
            outcome.findings.append(f"{way.__name__} {victim.name}")
            trial.forget()
            trial.run()
    return outcome


def full(trial: Trial, points: int) -> Outcome:
    """Let each operation of a run fail as on a full disk, a full quota or a broken one."""
    outcome, number = Outcome(), 0
    trial.forget()
    while outcome.points < points:
        error = WRITE_ERRORS[outcome.points % len(WRITE_ERRORS)]

        def fail(error: int = error) -> None:
            raise OSError(error, os.strerror(error))

        code = trial.run(at_operation(trial.store, number, fail))
        outcome.points += 1
        _count(outcome, code)
        if code not in (DONE, REFUSED):
            outcome.findings.append(f"operation {number} failed with {os.strerror(error)}: exit code {code}")
        if not trial.is_whole():
            outcome.findings.append(f"the run after operation {number} failed with {os.strerror(error)}")
        trial.forget()
        number = 0 if code == DONE else number + 1
    return outcome


def really_full(trial: Trial, points: int) -> Outcome:
    """Score onto file systems of a few kilobytes, then make room and go on; nothing where none can be mounted."""
    outcome = Outcome()
    for kilobytes in range(4, 4 + 4 * points, 4):
        trial.forget()
        with small_disk(trial.folder / "disk", kilobytes) as disk:
            if disk is None:
                return outcome
            _count(outcome, code := trial.run(root=disk))
            outcome.points += 1
            if code not in (DONE, REFUSED, BROKEN):
                outcome.findings.append(f"a disk of {kilobytes} KiB: exit code {code}")
            subprocess.run(["mount", "-o", "remount,size=16m", str(disk)], check=True)
            if trial.run(root=disk) != DONE or (disk / "scores.parquet").read_bytes() != trial.expected:
                outcome.findings.append(f"the run after a disk of {kilobytes} KiB was full")
    return outcome


@contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[Path | None]:
    """A file system in memory of this size; None where this process may mount none."""
    folder.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        yield None
        return
    try:
        yield folder
    finally:
        with suppress(subprocess.CalledProcessError):
            subprocess.run(["umount", str(folder)], check=True)


def _count(outcome: Outcome, code: int) -> None:
    name = {DONE: "went through", REFUSED: "one sentence", BROKEN: "another error"}.get(code, f"signal {-code}")
    outcome.disturbed[name] = outcome.disturbed.get(name, 0) + 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=300, help="Number of runs that are killed.")
    parser.add_argument("--damages", type=int, default=200, help="Number of shards that are damaged.")
    parser.add_argument("--disks", type=int, default=50, help="Number of operations that fail as on a full disk.")
    parser.add_argument("--seed", type=int, default=0, help="Seed of times and damages.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        trial = Trial(Path(scratch))
        outcomes = {
            "killed at an operation": killed_at_operations(trial, arguments.kills * 2 // 3),
            "killed at random": killed_at_random(trial, arguments.kills - arguments.kills * 2 // 3, arguments.seed),
            "damaged shard": damaged(trial, arguments.damages, arguments.seed),
            "failing write": full(trial, arguments.disks),
            "full file system": really_full(trial, arguments.disks // 2),
        }
    print("| disturbance | points | how the runs ended | rows lost or doubled |\n|---|--:|---|--:|")
    for name, outcome in outcomes.items():
        ends = ", ".join(f"{count} {end}" for end, count in sorted(outcome.disturbed.items()))
        print(f"| {name} | {outcome.points} | {ends} | {len(outcome.findings)} |")
    for name, outcome in outcomes.items():
        for finding in outcome.findings:
            print(f"{name}: {finding}")
    return 1 if any(outcome.findings for outcome in outcomes.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
