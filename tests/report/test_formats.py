"""A report is written in the format that its ending names, whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_kdmem.auditing.report import Report
from pytest_kdmem.errors import DataError, SpecError
from pytest_kdmem.report import html, junit, markdown, sarif, terminal
from pytest_kdmem.report.formats import FORMATS, check_ending, write_report
from tests.report.audits import full_audit

REPORT = Report((full_audit(),))
RENDERED = {
    ".json": json.dumps(REPORT.to_json()),
    ".html": html.render(REPORT),
    ".md": markdown.render(REPORT),
    ".sarif": sarif.render(REPORT),
    ".xml": junit.render(REPORT),
    ".txt": terminal.render(REPORT, width=100, verbosity=1),
}


@pytest.mark.parametrize("ending", FORMATS)
def test_the_ending_names_the_format(ending: str, tmp_path: Path) -> None:
    path = tmp_path / "deep" / f"audit{ending}"
    write_report(REPORT, path)
    text = path.read_text(encoding="utf-8")
    if ending == ".json":
        assert json.loads(text) == json.loads(RENDERED[ending])
    else:
        assert text == RENDERED[ending]
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("name", ["audit", "audit.pdf", "audit.HTML", ".json"])
def test_another_ending_is_refused_before_anything_is_written(name: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"A report ends in one of \.json, \.html, .*; found .*"):
        write_report(REPORT, tmp_path / name)
    with pytest.raises(SpecError, match="A report ends in one of"):
        check_ending(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"file/audit\.md"):
        write_report(REPORT, tmp_path / "file" / "audit.md")
