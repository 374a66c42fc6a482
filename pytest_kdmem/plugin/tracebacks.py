"""What an audit that broke may show: our errors are a sentence, and what others raise could hold training text."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_kdmem.errors.breakage import breakage_sentence, is_out_of_memory, out_of_memory_sentence

if TYPE_CHECKING:
    from pytest_kdmem.auditing.schema import Gate

PACKAGE_ROOT = Path(__file__).parents[1]


def render_error(report: pytest.TestReport, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
    """Replace an audit's traceback where it ends in an error of ours, or passes through this package."""
    errors = sys.modules.get("pytest_kdmem.errors")
    if errors is not None and isinstance(excinfo.value, errors.KdmemError):
        representation: Any = excinfo.getrepr(style="value", chain=False)
        representation.reprcrash.message = str(excinfo.value)
        report.longrepr = representation
        report.kdmem_error = True  # type: ignore[attr-defined]
    elif report.failed and is_out_of_memory(excinfo.value):
        report.longrepr = report.kdmem_reason = out_of_memory_sentence()  # type: ignore[attr-defined]
    elif report.failed and any(map(_is_ours, excinfo.traceback)):
        # pytest would show the arguments of these functions, which are texts and ids, and the message may hold some.
        report.longrepr = report.kdmem_reason = breakage_sentence(excinfo.value)  # type: ignore[attr-defined]


def shorten(
    item: pytest.Item,
    report: pytest.TestReport,
    excinfo: pytest.ExceptionInfo[BaseException] | None,
    gates: Sequence[Gate],
) -> None:
    """Leave a failed gate one line, and no place under FAILURES: its panel shows the rest, unless options ask for more.

    pytest shows nothing under FAILURES of a test that a debugger showed. What a test printed is kept.
    """
    option, failed_gates = item.config.option, [gate for gate in gates if gate.outcome != "pass"]
    has_terminal = item.config.pluginmanager.has_plugin("terminalreporter")
    if (
        excinfo is None
        or not report.failed
        or not has_terminal
        or option.verbose > 0
        or option.showlocals
        or option.tbstyle != "auto"
    ):
        return
    if failed_gates and all(gate.estimate is not None for gate in failed_gates):
        lines = [f"{gate.path}:{gate.line}: {gate.reason}" for gate in failed_gates]
        representation: Any = excinfo.getrepr(style="value", chain=False)
        representation.reprcrash.message = failed_gates[0].reason
        representation.reprtraceback.reprentries[-1].lines = lines
        report.longrepr = representation
    elif not getattr(report, "kdmem_error", False):
        return
    if not any(output.strip() for _, output in report.sections):
        report._pdbshown = True  # type: ignore[attr-defined]


def _is_ours(entry: Any) -> bool:
    """Whether a frame is of this package; our hooks do not count, as pytest calls the user's own fixtures in them."""
    path = Path(entry.path)
    is_hook = path.is_relative_to(PACKAGE_ROOT / "plugin") and entry.name.startswith("pytest_")
    return path.is_relative_to(PACKAGE_ROOT) and not is_hook
