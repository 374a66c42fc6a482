"""What a session found → its report, whole; and what is written of it, by the one process that writes."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_kdmem.audit.regression.baseline_file import NOTHING_ACCEPTED, read_accepted, write_accepted
from pytest_kdmem.audit.regression.compare import drifts
from pytest_kdmem.audit.regression.metrics import tracked_metrics
from pytest_kdmem.audit.report import Report
from pytest_kdmem.audit.rerun_command import with_commands
from pytest_kdmem.base.text import count
from pytest_kdmem.errors import DataError, KdmemError
from pytest_kdmem.plugin.settings import Settings
from pytest_kdmem.report.formats import write_report
from pytest_kdmem.specs.options import OPTIONS

# It annotates every test that fails, and twice is once too often.
ANNOTATING = "pytest-github-actions-annotate-failures"
# Not of what is audited, but of what becomes of it.
OF_OUTPUT = ("report", "update_baseline_file", "show_text")


def completed(report: Report, settings: Settings, invoked_from: Path) -> Report:
    """The report with the next commands, and with what became of accepted figures."""
    root = Path(os.path.relpath(settings.root, invoked_from)).as_posix()
    options = [written for option in OPTIONS if (written := _as_written(option.flag, option.key, settings))]
    audits = (with_commands(audit, options, root) for audit in report.audits)
    path = settings.baseline_file
    if path is None or (settings["update_baseline_file"] and not path.exists()):
        return Report(tuple(audits))
    try:
        accepted = read_accepted(path)
    except DataError as error:
        said = str(error)
        return Report(tuple(replace(one, warnings=(*one.warnings, said)) for one in audits))
    return Report(tuple(replace(one, drift=drifts(accepted.of(one.name), tracked_metrics(one))) for one in audits))


def write_all(report: Report, settings: Settings) -> tuple[str, list[str]]:
    """Write every report asked for, the job's summary and accepted figures.

    Returns:
        what was accepted, in a sentence or nothing; what could not be written, in sentences.
    """
    accepted, wrong = "", []
    for path in sorted(settings["report"], key=lambda path: Path(path).suffix != ".json"):  # first the record
        try:
            write_report(report, Path(path))
        except KdmemError as error:
            wrong.append(str(error))
        except Exception as error:  # a mistake of ours, for which no other report and no verdict may be lost
            wrong.append(f"A report was to be written to {path}, and rendering it broke ({type(error).__name__}).")
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        from pytest_kdmem.report.github import append_summary

        wrong += filter(None, [append_summary(report, Path(summary))])
    if settings["update_baseline_file"]:
        try:
            accepted = _accept(report, settings)
        except KdmemError as error:
            wrong.append(str(error))
    return accepted, wrong


def annotations_for(report: Report, config: pytest.Config) -> str:
    """Lines that GitHub puts beside the audits' code, where nothing else does."""
    names: Iterable[str] = (dist.project_name for _, dist in config.pluginmanager.list_plugin_distinfo())
    if os.environ.get("GITHUB_ACTIONS") != "true" or ANNOTATING in names:
        return ""
    from pytest_kdmem.report.github import workflow_commands

    workspace = Path(os.environ.get("GITHUB_WORKSPACE") or config.rootpath)  # where GitHub looks for files
    inside = config.rootpath.is_relative_to(workspace)
    return workflow_commands(report, config.rootpath.relative_to(workspace).as_posix() if inside else ".")


def _accept(report: Report, settings: Settings) -> str:
    path = settings.baseline_file
    assert path is not None  # or the settings would have been refused
    before = read_accepted(path) if path.exists() else NOTHING_ACCEPTED
    found = {audit.name: tracked_metrics(audit) for audit in report.audits}
    write_accepted(before.updated(found), path)
    figures = sum(map(len, found.values()))
    drift = [entry.outcome for name in found for entry in drifts(before.of(name), found[name])]
    worse = drift.count("worse") + drift.count("undecided")
    said = f", {worse} of them worse than before, or not known to be no worse" if worse else ""
    return f"accepted: {count(figures)} figures in {path}{said}; commit it"


def _as_written(flag: str, key: str, settings: Settings) -> str:
    if not settings.overrides(key) or key in OF_OUTPUT:
        return ""
    value = settings[key]
    return flag * value if isinstance(value, bool) else f"{flag}={value}"
