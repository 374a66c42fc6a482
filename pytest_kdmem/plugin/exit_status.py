"""What a run of audits exits with: 0 is a release, and nothing else is."""

from __future__ import annotations

import sys

import pytest

from pytest_kdmem.base.text import count
from pytest_kdmem.errors.harmless import harmless
from pytest_kdmem.plugin.exit_codes import NOT_DECIDED
from pytest_kdmem.plugin.session import SESSION, AuditSession, session_of
from pytest_kdmem.plugin.watch import watch_of

# Runs that only show something, and hold nothing.
SHOWING = ("help", "version", "markers", "showfixtures", "show_fixtures_per_test", "cacheshow", "collectonly")
SHOWN_FILES = 3


def final_status(config: pytest.Config, status: int | pytest.ExitCode) -> int | pytest.ExitCode:
    """Return what a run exits with that would exit with ``status``, and say why if it held less than its audits.

    Whatever pytest or another plugin made of the session in the meantime, it does not exit with 0 unless every gate of
    its audits was held, or less was asked for.
    """
    if status != pytest.ExitCode.OK or hasattr(config, "workerinput") or _only_shows(config):
        return status
    session = config.stash.get(SESSION, None)
    if session is not None and session.has_started:
        return _verdict_status(session, status)
    if watch_of(config).has_collected:
        return status
    from pytest_kdmem.plugin.completeness import audits_below

    files = audits_below(config)
    if not files or session_of(config).settings["partial"]:
        return status
    named = ", ".join(files[:SHOWN_FILES]) + (" and others" if len(files) > SHOWN_FILES else "")
    sentence = (
        f"Not decided: the run ended before {count(len(files))} file{'s' * (len(files) > 1)} of audits"
        f" ({named}) could be collected (exit code {NOT_DECIDED})."
    )
    sys.stderr.write(f"{harmless(sentence)}\n")
    return NOT_DECIDED


def _verdict_status(session: AuditSession, status: int | pytest.ExitCode) -> int | pytest.ExitCode:
    from pytest_kdmem.report.sentences import overall_outcome

    if session.is_dry_run:
        return NOT_DECIDED
    if session.shard:  # a part holds no gate; nothing is released by it
        return status
    if session.published is None:
        outcome = "inconclusive"
        sys.stderr.write("Not decided: the run ended before its audits could be reported.\n")
    else:
        outcome = overall_outcome(session.published.report.audits)
    if outcome == "fail":
        return pytest.ExitCode.TESTS_FAILED
    return status if outcome == "pass" or session.settings["partial"] else NOT_DECIDED


def _only_shows(config: pytest.Config) -> bool:
    return any(getattr(config.option, name, False) for name in SHOWING)
