"""What an audit that broke may show: our errors are a sentence, and what others raise could hold training text."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pytest_kdmem.audit.schema import Gate

HERE = Path(__file__).parents[1]
# Of these the message tells of machines, and not of what was read.
TELLING = (OSError, MemoryError, RuntimeError)
LONGEST_MESSAGE = 300


def say(report: pytest.TestReport, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
    """Replace an audit's traceback, if there is one of ours or of something that broke in here."""
    errors = sys.modules.get("pytest_kdmem.errors")
    error = excinfo.value
    if errors is not None and isinstance(error, errors.KdmemError):
        said: Any = excinfo.getrepr(style="value", chain=False)
        said.reprcrash.message = str(error)
        report.longrepr = said
        report.kdmem_error = True  # type: ignore[attr-defined]
    elif report.failed and (entered := [entry for entry in excinfo.traceback if _is_here(entry)]):
        # pytest would show arguments on the way, and these are texts and ids.
        last = excinfo.traceback[-1]
        if _is_here(last):  # what is raised in here says what it is about, and no more
            report.longrepr = excinfo.getrepr(style="short", funcargs=False, showlocals=False)
            return
        message = str(error).strip().partition("\n")[0][:LONGEST_MESSAGE] if type(error) in TELLING else "not shown"
        report.longrepr = report.kdmem_reason = (  # type: ignore[attr-defined]
            f"{type(error).__name__} at {last.path}:{last.lineno + 1}, asked for at {entered[-1].path}:"
            f"{entered[-1].lineno + 1} (its message: {message}); an audit expects no such error, and what it broke on"
            " is not shown, as that may be training text."
        )


def shorten(
    item: pytest.Item,
    report: pytest.TestReport,
    excinfo: pytest.ExceptionInfo[BaseException] | None,
    gates: Sequence[Gate],
) -> None:
    """Say in one line what a failed gate's panel tells whole, and not under FAILURES, unless more was asked for.

    pytest has nothing there of what a debugger showed, and so of what a panel shows. What a test printed is kept.
    """
    option, failed = item.config.option, [gate for gate in gates if gate.outcome != "pass"]
    if excinfo is None or not report.failed or option.verbose > 0 or option.showlocals or option.tbstyle != "auto":
        return
    if failed and all(gate.estimate is not None for gate in failed):
        said: Any = excinfo.getrepr(style="value", chain=False)
        said.reprcrash.message = failed[0].reason
        said.reprtraceback.reprentries[-1].lines = [f"{gate.path}:{gate.line}: {gate.reason}" for gate in failed]
        report.longrepr = said
    elif not getattr(report, "kdmem_error", False):
        return
    if not any(printed.strip() for _, printed in report.sections):
        report._pdbshown = True  # type: ignore[attr-defined]


def _is_here(entry: Any) -> bool:
    """Whether a frame is this package's; its hooks are below whatever a test does."""
    return Path(entry.path).is_relative_to(HERE) and Path(entry.path) != HERE / "plugin" / "hooks.py"
