"""Reads damaged files in child processes, and tells what no reader may do.

A reader returns or raises an error of this package. Anything else is a finding: another error, a process that ends or
hangs, a file that is written outside the folder of the input.
"""

from __future__ import annotations

import json
import os
import random
import resource
import select
import shutil
import signal
import sys
import time
import traceback
import unicodedata
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SECONDS_PER_INPUT = 30
MEMORY = 3 << 30  # bytes of address space beyond what the process has when it begins
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
EVENTS = ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.symlink", "os.link", "os.truncate", "os.chmod")


@dataclass
class Tally:
    """What became of the inputs of one reader."""

    inputs: int = 0
    read: int = 0
    refused: int = 0
    slowest: float = 0.0
    findings: list[str] = field(default_factory=list)


def input_of(reader: Any, seed: int, number: int) -> bytes:
    """The input of a number: a valid content, damaged by random numbers that follow from seed, reader and number."""
    random_ = random.Random(zlib.crc32(f"{seed} {reader.name} {number}".encode()))
    return reader.damage(random_, random_.choice(reader.seeds))


def fuzz(name: str, inputs: int, seed: int, scratch: Path) -> Tally:
    """Read damaged files by one reader.

    Args:
        name: Name of the reader.
        inputs: Number of files.
        seed: Seed of the damage.
        scratch: An empty folder.
    """
    tally, number = Tally(inputs), 0
    while number < inputs:
        receiver, sender = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(receiver)
            _run_child(name, range(number, inputs), seed, scratch, sender)
        os.close(sender)
        number, ended = _collect(receiver, number, tally)
        if not ended:
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if not ended or status:
            code = os.waitstatus_to_exitcode(status)
            tally.findings.append(f"{number}: {f'the process ended with {code}' if ended else 'no end'}")
            number += 1
        else:
            number = inputs
    return tally


def _collect(receiver: int, number: int, tally: Tally) -> tuple[int, bool]:
    """Take what a child tells, until it ends or says nothing for too long; returns the last input that it began."""
    pending = b""
    with os.fdopen(receiver, "rb", 0) as stream:
        while True:
            if not select.select([stream], [], [], SECONDS_PER_INPUT)[0]:
                return number, False
            if not (content := stream.read(1 << 16)):
                return number, True
            *lines, pending = (pending + content).split(b"\n")
            for line in lines:
                kind, value = json.loads(line)
                if kind == "begin":
                    number = value
                elif kind == "end":
                    setattr(tally, value[0], getattr(tally, value[0]) + 1)
                    tally.slowest = max(tally.slowest, value[1])
                else:
                    tally.findings.append(f"{number}: {value}")


def _run_child(name: str, numbers: range, seed: int, scratch: Path, sender: int) -> None:
    from tests.fuzz.readers import all_readers

    def tell(kind: str, value: Any) -> None:
        os.write(sender, json.dumps([kind, value]).encode() + b"\n")

    code = 1
    try:
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        warnings.simplefilter("ignore")
        reader = next(reader for reader in all_readers() if reader.name == name)
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
        folder = scratch / "input"
        _fill(folder, reader, reader.seeds[0])
        _read(reader, folder, lambda kind, value: None)  # what it imports and caches once is none of the inputs' doing
        watched: list[Path] = []
        _watch_files(watched, tell)
        for number in numbers:
            tell("begin", number)
            content = input_of(reader, seed, number)
            _fill(folder, reader, content)
            began = time.perf_counter()
            watched.append(folder)
            outcome = _read(reader, folder, tell)
            watched.clear()
            tell("end", [outcome, time.perf_counter() - began])
        code = 0
    finally:
        os._exit(code)


def _fill(folder: Path, reader: Any, content: bytes) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    for path, beside in {**reader.beside, reader.path: content}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(beside)
    os.chdir(folder)


def _read(reader: Any, folder: Path, tell: Callable[[str, Any], None]) -> str:
    from pytest_kdmem.errors import KdmemError
    from pytest_kdmem.errors.harmless import CONTROL_CATEGORIES

    try:
        reader.read(folder)
    except KdmemError as error:
        sentence = str(error)
        if (
            any(unicodedata.category(sign) in CONTROL_CATEGORIES for sign in sentence)
            or len(sentence) > 2000
            or "hunter2" in sentence
        ):
            tell("finding", f"the sentence {sentence[:200]!r}")
        return "refused"
    except BaseException as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        ours = [frame for frame in traceback.extract_tb(error.__traceback__) if "pytest_kdmem" in frame.filename]
        where = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else "?"
        at = f"{Path(place.filename).name}:{place.lineno}"
        tell("finding", f"{type(error).__name__} at {at} by {where}: {str(error)[:100]}")
    return "read"


def _watch_files(watched: list[Path], tell: Callable[[str, Any], None]) -> None:
    """Tell of every file that Python writes, makes or removes outside the folder that is watched, while one is."""

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if not watched:
            return
        if event == "open":
            path, _, flags = arguments
            if isinstance(path, int) or not (isinstance(flags, int) and flags & WRITING):
                return
        elif event in EVENTS:
            path = arguments[0]
        else:
            return
        place = os.path.realpath(os.fsdecode(path)) if not isinstance(path, int) else str(path)
        if not isinstance(path, int) and not place.startswith(str(watched[0])) and place != os.devnull:
            tell("finding", f"{event} of {place}")

    sys.addaudithook(watch)


HEADER = "| reader | inputs | read | refused | slowest, ms | findings |\n|---|--:|--:|--:|--:|--:|"


def row(name: str, tally: Tally) -> str:
    """A row of the table: how many inputs were read and refused, and how much was found."""
    counts = (tally.inputs, tally.read, tally.refused, round(1000 * tally.slowest), len(tally.findings))
    return f"| {name} | {' | '.join(map(str, counts))} |"


def total(tallies: Iterable[Tally]) -> Tally:
    """All readers together."""
    every = list(tallies)
    counts: Counter[str] = Counter()
    for each in every:
        counts.update(inputs=each.inputs, read=each.read, refused=each.refused)
    findings = [finding for each in every for finding in each.findings]
    return Tally(counts["inputs"], counts["read"], counts["refused"], max(each.slowest for each in every), findings)
