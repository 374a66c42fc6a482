"""The store, and reports with text, are for their owner alone; other reports follow the umask."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

GATE = "def test_rate(memorization, student):\n    assert memorization(student).rate <= 1"


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def readable_by_others(folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in (folder, *folder.rglob("*")) if path.stat().st_mode & 0o077]


def test_nobody_else_may_look_into_the_store(unscored_project):
    unscored_project.gates(GATE)
    unscored_project.run().assert_outcomes(passed=1)
    assert len(unscored_project.shards) > 0
    assert readable_by_others(unscored_project.path / ".kdmem") == []


@pytest.mark.parametrize("show_text", [True, False])
def test_a_report_with_text_is_private_and_another_one_is_not(audit_project, show_text):
    audit_project.gates(GATE)
    reports = [audit_project.path / f"audit.{ending}" for ending in ("json", "html", "md")]
    for report in reports:
        report.write_text("of an earlier run, which everyone may read")
    arguments = [f"--kdmem-report={report.name}" for report in reports]
    audit_project.run(*arguments, *["--kdmem-show-text"] * show_text).assert_outcomes(passed=1)
    expected = 0o600 if show_text else 0o644
    assert [report.stat().st_mode & 0o777 for report in reports] == [expected] * len(reports)
