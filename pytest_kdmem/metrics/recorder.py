"""Keeps every comparison of an estimate while audits run: each is a gate, whoever makes it and whatever becomes of it.

A comparison stands in the list of the running test, of whichever thread it is. One that is made while no test of an
audit runs stands in a list of its own. Another process cannot reach either, so it refuses to compare, and leaves word.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TypeVar

from pytest_kdmem.errors import ComparisonError, KdmemError, PartScored

# Processes that an audit starts inherit it: id of the process in which its gates are held, and the file for refusals.
AUDIT_PROCESS = "_KDMEM_AUDIT_PROCESS"
# Comparisons that are kept from before it is known that audits are collected, as of a conftest while it is imported.
MOST_BEFORE_AUDITS = 100
SomeError = TypeVar("SomeError", bound=KdmemError)
# Where an expression stands in its file: first and last line, first and last column.
Place = tuple[int | None, int | None, int | None, int | None]
PACKAGE = f"{__name__.partition('.')[0]}."


class Recorded:
    """Base of what is kept of an audit: comparisons, and uses of estimates that were refused."""


@dataclass(frozen=True)
class Refused(Recorded):
    """A use of an estimate that no gate can hold. It raised an error, which the test may have caught.

    Attributes:
        reason: What the error says.
    """

    reason: str


@dataclass
class Recorder:
    """Where the comparisons of a session of audits go.

    Attributes:
        of_test: Comparisons of the running test, or None while no test of an audit runs.
        outside: Comparisons that were made while no test of an audit ran.
        places: Where comparisons were made, by file.
        process: Id of the process that holds the gates.
        refusals: File in which other processes leave the reasons for which they refused to compare.
    """

    of_test: list[Recorded] | None = None
    outside: list[Recorded] = field(default_factory=list)
    places: dict[str, set[Place]] = field(default_factory=dict)
    process: int = field(default_factory=os.getpid)
    refusals: Path | None = None

    def take_refusals(self) -> list[Refused]:
        """Return what other processes refused since this was last asked for."""
        if self.refusals is None or not self.refusals.exists() or not self.refusals.stat().st_size:
            return []
        lines = self.refusals.read_text(encoding="utf-8", errors="replace").splitlines()
        self.refusals.write_bytes(b"")
        return [Refused(line) for line in dict.fromkeys(lines)]


_recorder: Recorder | None = None
_before_audits: deque[Recorded] = deque(maxlen=MOST_BEFORE_AUDITS)


def forget_earlier_comparisons() -> None:
    """Drop what was compared before a session began."""
    _before_audits.clear()


def open_recorder() -> Recorder:
    """Record all comparisons from now on, in a recorder that holds those made since the session began."""
    global _recorder
    handle, name = tempfile.mkstemp(prefix="kdmem-refusals-")
    os.close(handle)
    _recorder = Recorder(outside=list(_before_audits), refusals=Path(name))
    os.environ[AUDIT_PROCESS] = f"{_recorder.process}:{name}"
    return _recorder


def close_recorder(recorder: Recorder, earlier: Recorder | None = None) -> None:
    """Record no comparison any more, or go on where an outer session records."""
    global _recorder
    _recorder = earlier
    if recorder.refusals is not None:
        recorder.refusals.unlink(missing_ok=True)
    if earlier is not None and earlier.refusals is not None:
        os.environ[AUDIT_PROCESS] = f"{earlier.process}:{earlier.refusals}"
    else:
        os.environ.pop(AUDIT_PROCESS, None)


def current_recorder() -> Recorder | None:
    """Return the recorder in use, or None if no audits run."""
    return _recorder


def is_audited() -> bool:
    """Whether the estimate that is compared now is one of an audit's test."""
    _check_process()
    return _recorder is not None and _recorder.of_test is not None


def record(entry: Recorded) -> None:
    """Keep a comparison or a refusal for the session of audits; without one only the latest few are kept."""
    _check_process()
    if _recorder is None:
        _before_audits.append(entry)
    else:
        (_recorder.outside if _recorder.of_test is None else _recorder.of_test).append(entry)
        _note_place(_recorder)


def refused(error: SomeError) -> SomeError:
    """Keep an error that a comparison raises, so that a test which catches it does not pass; returns the error."""
    record(Refused(str(error)))
    return error


@contextmanager
def kept_if_broken() -> Iterator[None]:
    """Keep an error that is raised while something is measured, so that a test which catches it does not pass."""
    try:
        yield
    except PartScored:  # the rest of the run holds the gates
        raise
    except Exception as error:
        what_broke = str(error) if isinstance(error, KdmemError) else type(error).__name__
        record(Refused(f"What is compared could not be measured: {what_broke}"))
        raise


def _note_place(recorder: Recorder) -> None:
    """Keep where in the source the comparison stands that is made now: the nearest caller that is not this package."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(PACKAGE):
        frame = frame.f_back
    positions = islice(frame.f_code.co_positions(), frame.f_lasti // 2, None)
    recorder.places.setdefault(frame.f_code.co_filename, set()).add(next(positions, (None, None, None, None)))


def _check_process() -> None:
    """Raise ComparisonError in a process in which no gate is held, and leave word of it for the one that holds them."""
    process, _, refusals = os.environ.get(AUDIT_PROCESS, "").partition(":")
    if not process or process == str(os.getpid()):
        return
    reason = (
        "An estimate was expected to be compared in the process of its audit, where each comparison is a gate, and it"
        " was compared in another one; return it from there, or compute there with its `.value`, `.low` and `.high`."
    )
    with suppress(OSError), Path(refusals).open("a", encoding="utf-8") as file:
        file.write(f"{reason}\n")
    raise ComparisonError(reason)
