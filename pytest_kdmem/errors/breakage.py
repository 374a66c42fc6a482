"""Tells in a sentence of an error that is not ours, without its message, which may hold the text it broke on."""

from __future__ import annotations

import errno
import traceback
from collections.abc import Sequence
from pathlib import Path

from pytest_kdmem.errors.harmless import harmless

PACKAGE_ROOT = Path(__file__).parents[1]
# The messages of these tell of the machine, and not of what was read.
ERRORS_OF_THE_MACHINE = (OSError, MemoryError, RuntimeError, ImportError)
LONGEST_MESSAGE = 300
# What libraries say where memory ends: torch, the loader of shared libraries, and the starter of threads.
OUT_OF_MEMORY = ("allocate memory", "failed to map segment", "can't start new thread", "bad_alloc", "bad allocation")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ended, in whichever library it did."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    return isinstance(error, ERRORS_OF_THE_MACHINE) and any(words in str(error) for words in OUT_OF_MEMORY)


def out_of_memory_sentence() -> str:
    """Return the sentence of a run that memory ended."""
    return (
        "This process needs more memory than it may use (see `ulimit -v`, or the limit of its container): allow more,"
        " or set a smaller --kdmem-batch-size."
    )


def breakage_sentence(error: BaseException) -> str:
    """Return a sentence with an error's kind, the place where it was raised, and the last place in this package."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).is_relative_to(PACKAGE_ROOT)]
    message = "not shown"
    if type(error) in ERRORS_OF_THE_MACHINE:
        message = harmless(str(error).strip().partition("\n")[0][:LONGEST_MESSAGE])
    return (
        f"{type(error).__name__} at {_place(frames)}, asked for at {_place(ours)} (its message: {message}); no such"
        " error is expected. The data that caused it is not shown, because it may be training text."
    )


def _place(frames: Sequence[traceback.FrameSummary]) -> str:
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "an unknown place"
