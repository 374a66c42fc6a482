"""The report of a session: completed, written by the one process that writes, and printed at the end."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from pytest_kdmem.auditing.gates import with_vacuous_gates
from pytest_kdmem.auditing.regression.baseline_file import NOTHING_ACCEPTED, read_accepted, write_accepted
from pytest_kdmem.auditing.regression.compare import metric_changes
from pytest_kdmem.auditing.regression.metrics import tracked_metrics
from pytest_kdmem.auditing.relative_paths import with_relative_paths
from pytest_kdmem.auditing.report import Report
from pytest_kdmem.auditing.rerun_command import with_commands
from pytest_kdmem.base.addresses import ending
from pytest_kdmem.base.text import count
from pytest_kdmem.errors import DataError, KdmemError
from pytest_kdmem.errors.harmless import harmless, without_commands, without_secrets
from pytest_kdmem.plugin.exit_codes import NOT_DECIDED
from pytest_kdmem.plugin.screen import lines_on_screen
from pytest_kdmem.plugin.settings import Settings
from pytest_kdmem.report.formats import write_report
from pytest_kdmem.report.github import append_summary, workflow_commands
from pytest_kdmem.report.sentences import overall_outcome, verdict_sentence
from pytest_kdmem.report.terminal import render
from pytest_kdmem.specs.option import Option
from pytest_kdmem.specs.options import OPTIONS
from pytest_kdmem.specs.other_readings import split_names
from pytest_kdmem.tracking.trackers import log_audit

# It annotates every test that fails, and a second annotation would only repeat it.
ANNOTATING_PLUGIN = "pytest-github-actions-annotate-failures"
# These change what becomes of the report, and not what is audited.
OUTPUT_KEYS = ("report", "log_to", "update_baseline_file", "show_text")


@dataclass(frozen=True)
class Published:
    """A session's report, and what became of it.

    Attributes:
        report: The whole report.
        accepted: Sentence about the figures that were accepted; "" where none were.
        errors: Sentences about what could not be written.
        is_partial: Whether less than whole audits was asked for.
        written: Reports that were written.
    """

    report: Report
    accepted: str
    errors: Sequence[str]
    is_partial: bool = False
    written: Sequence[str] = ()


def publish(report: Report, settings: Settings, invoked_from: Path) -> Published:
    """Complete a report, write it wherever it was asked for, and accept its figures if they are to be."""
    report = completed_report(report, settings, invoked_from)
    written, errors = _write_reports(report, settings)
    accepted = ""
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        errors += filter(None, [append_summary(report, Path(summary))])
    errors += _log_figures(report, split_names(settings["log_to"]))
    if settings["update_baseline_file"]:
        try:
            accepted = _accept_figures(report, settings)
        except KdmemError as error:
            errors.append(str(error))
    return Published(report, accepted, errors, settings["partial"] or False, written)


def completed_report(report: Report, settings: Settings, invoked_from: Path) -> Report:
    """Return a report with the command to run after each failed gate, warnings of gates, and changes of figures.

    Args:
        report: Report of all audits.
        settings: Settings of this run.
        invoked_from: Folder in which pytest was started, and in which the commands will be.
    """
    root = Path(os.path.relpath(settings.root, invoked_from)).as_posix()
    options = [text for option in OPTIONS for text in _command_line_texts(option, settings)]
    audits = tuple(
        with_relative_paths(
            with_commands(with_vacuous_gates(audit), options, root, settings["report"]), settings.root, root
        )
        for audit in report.audits
    )
    path = settings.baseline_file
    if path is None or (settings["update_baseline_file"] and not path.exists()):
        return Report(audits)
    try:
        accepted = read_accepted(path)
    except DataError as error:
        warning = str(error)
        return Report(tuple(replace(audit, warnings=(*audit.warnings, warning)) for audit in audits))
    return Report(
        tuple(
            replace(audit, metric_changes=metric_changes(accepted.for_audit(audit.name), tracked_metrics(audit)))
            for audit in audits
        )
    )


def print_summary(terminalreporter: Any, published: Published, config: pytest.Config, status: int) -> None:
    """Print a report at the end of pytest's output; a quiet run prints it only if there is something to act on.

    Args:
        terminalreporter: What pytest prints by.
        published: The report and where it was written.
        config: Configuration of the run.
        status: What pytest itself would exit with.
    """
    report, verbosity = published.report, config.option.verbose
    outcome = overall_outcome(report.audits)
    if verbosity < 0 and outcome == "pass" and not published.accepted and not published.errors:
        return
    writer = config.get_terminal_writer()
    encoding = (getattr(sys.stdout, "encoding", None) or "ascii").lower().replace("-", "")
    unicode = encoding.startswith("utf")
    terminalreporter.section("memorization audit")
    text = render(report, width=writer.fullwidth, color=writer.hasmarkup, unicode=unicode, verbosity=verbosity)
    terminalreporter.write(without_commands(text))
    for path in published.written:
        terminalreporter.write_line(without_commands(harmless(f"wrote {without_secrets(path)}")))
    if published.accepted:
        terminalreporter.write_line(without_commands(published.accepted))
    if outcome == "inconclusive":
        line = undecided_line(report, status, is_partial=published.is_partial)
        for part in lines_on_screen(without_commands(line), config):
            terminalreporter.write_line(part, yellow=True, bold=True)
    for error in published.errors:
        terminalreporter.write_line(without_commands(error), red=True)
    terminalreporter.write(github_annotations(report, config))


def undecided_line(report: Report, status: int, *, is_partial: bool) -> str:
    """Return the line that says why nothing was decided, and what the run exits with.

    Args:
        report: Report of all audits.
        status: What pytest itself would exit with: another status than 0 stays, as that of an interrupted run.
        is_partial: Whether ``--kdmem-partial`` is set.
    """
    verdict = verdict_sentence(report)
    if status != pytest.ExitCode.OK:
        is_interrupted = status == pytest.ExitCode.INTERRUPTED
        goes_on = " The same command goes on with what the cache holds by now." if is_interrupted else ""
        return f"{verdict}. Exit code {int(status)}: this is no release.{goes_on}"
    if is_partial:
        return f"{verdict}. This is no release; the run exits with 0 only because --kdmem-partial is set."
    return f"{verdict}. This is no release (exit code {NOT_DECIDED}); --kdmem-partial lets such a run exit with 0."


def github_annotations(report: Report, config: pytest.Config) -> str:
    """Return lines that make GitHub annotate the audits' code; "" elsewhere, or if another plugin does it."""
    distributions = config.pluginmanager.list_plugin_distinfo()
    names: Iterable[str] = (distribution.project_name for _, distribution in distributions)
    if os.environ.get("GITHUB_ACTIONS") != "true" or ANNOTATING_PLUGIN in names:
        return ""
    workspace = Path(os.environ.get("GITHUB_WORKSPACE") or config.rootpath)  # where GitHub looks for files
    is_inside = config.rootpath.is_relative_to(workspace)
    return workflow_commands(report, config.rootpath.relative_to(workspace).as_posix() if is_inside else ".")


def _write_reports(report: Report, settings: Settings) -> tuple[list[str], list[str]]:
    """Write every report asked for; return those that were, and sentences about those that could not be."""
    written, errors = [], []
    for path in sorted(settings["report"], key=lambda path: ending(path) != ".json"):  # the JSON record first
        try:
            write_report(report, path)
            written.append(str(path))
        except KdmemError as error:
            errors.append(str(error))
        except Exception as error:  # a mistake of ours, for which no other report and no verdict may be lost
            sentence = f"A report was to be written to {path}, and rendering it broke ({type(error).__name__})."
            errors.append(harmless(sentence))
    return written, errors


def _log_figures(report: Report, trackers: Sequence[str]) -> list[str]:
    """Log every audit to every tracker asked for, and return sentences about those that took nothing."""
    errors = []
    for tracker in trackers:
        try:
            for audit in report.audits:
                log_audit(audit, tracker)
        except Exception as error:  # of a tracker, for which no report and no verdict may be lost
            sentence = f"Figures were to be logged to {tracker}, which refused them ({type(error).__name__}: {error})"
            errors.append(harmless(f"{sentence.rstrip('.')}."))
    return errors


def _accept_figures(report: Report, settings: Settings) -> str:
    """Write the figures of this run to the file of accepted ones, and return a sentence about it."""
    path = settings.baseline_file
    assert path is not None  # or the settings would have been refused
    before = read_accepted(path) if path.exists() else NOTHING_ACCEPTED
    metrics = {audit.name: tracked_metrics(audit) for audit in report.audits}
    write_accepted(before.updated(metrics), path)
    figures = sum(map(len, metrics.values()))
    outcomes = [change.outcome for name in metrics for change in metric_changes(before.for_audit(name), metrics[name])]
    worse = outcomes.count("worse") + outcomes.count("undecided")
    comparison = f", {worse} of them worse than before, or not known to be no worse" if worse else ""
    return f"accepted: {count(figures)} figures in {path}{comparison}; commit it"


def _command_line_texts(option: Option, settings: Settings) -> list[str]:
    """Return an option as the next command has to repeat it, as often as it was given."""
    if not settings.overrides(option.key) or option.key in OUTPUT_KEYS:
        return []
    value = settings[option.key]
    if option.kind == "truth":
        return [f"{option.flag}={'yes' if value else 'no'}"]
    if isinstance(value, bool):
        return [option.flag] * value
    return [f"{option.flag}={without_secrets(str(each))}" for each in (value if option.kind == "paths" else [value])]
