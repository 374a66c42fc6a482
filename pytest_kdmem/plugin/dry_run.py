"""A dry run of audits (`--kdmem-dry-run`): it tells what they would take, writes nothing, and holds no gate."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import pytest

from pytest_kdmem.base.text import duration, size
from pytest_kdmem.plugin.exit_codes import NOT_DECIDED
from pytest_kdmem.plugin.settings import Settings

if TYPE_CHECKING:
    from pytest_kdmem.auditing.audit import Audit

WORDS = "dry run"


def dry_run_error(config: pytest.Config, settings: Settings) -> str:
    """Return why no dry run can be made as this run was called, or an empty string."""
    place = settings.places["dry_run"]
    if not settings["dry_run"]:
        return ""
    if settings["update_baseline_file"]:
        return f"{place} has no figures that {settings.places['update_baseline_file']} could accept; drop one of them."
    if hasattr(config, "workerinput") or getattr(config.option, "numprocesses", None):
        return f"{place} measures one process, and pytest-xdist was to start several; drop -n."
    return ""


def print_forecasts(terminalreporter: Any, audits: Iterable[Audit]) -> None:
    """Print at the end of pytest's output what the audits would take."""
    forecasts = list(dict.fromkeys(forecast for audit in audits for forecast in audit.forecasts))
    terminalreporter.section("memorization audit: dry run")
    for forecast in forecasts:
        for line in forecast.lines:
            terminalreporter.write_line(line)
    seconds, size_bytes = (sum(getattr(one, name) for one in forecasts) for name in ("seconds", "size_bytes"))
    is_broken = terminalreporter.stats.get("failed") or terminalreporter.stats.get("error")
    exit_code = "" if is_broken else f" (exit code {NOT_DECIDED})"
    terminalreporter.write_line(
        f"altogether about {duration(seconds)} of scoring and {size(size_bytes)} in the cache; nothing was written,"
        f" and no gate was evaluated{exit_code}"
    )
