"""`kdmem report`: a saved report in other formats, and what it refuses to write."""

from __future__ import annotations

import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.report.audits import DATA


@pytest.fixture
def record(tmp_path: Path) -> Path:
    """A saved report of an audit that failed."""
    return Path(shutil.copy(DATA / "red.json", tmp_path / "audit.json"))


def test_every_format_asked_for_is_written(kdmem, record):
    names = ["audit.html", "audit.md", "audit.sarif", "audit.xml", "audit.txt", "out/again.json"]
    done = kdmem("report", record, *(part for name in names for part in ("--to", name)))
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [f"report in {name}" for name in names]
    assert Path("audit.html").read_text(encoding="utf-8").lstrip().startswith("<!")
    assert ElementTree.parse("audit.xml").getroot().tag == "testsuites"
    assert Path("audit.md").read_text(encoding="utf-8")


def test_a_report_written_twice_is_the_same(kdmem, record):
    for name in ("first.json", "second.json"):
        assert kdmem("report", record, "--to", name).code == 0
        record = Path(name)
    assert Path("first.json").read_bytes() == Path("second.json").read_bytes()


def test_an_unknown_format_is_refused_before_anything_is_written(kdmem, record):
    done = kdmem("report", record, "--to", "audit.html", "--to", "audit.docx")
    assert done.code == 2
    assert "audit.docx" in done.err
    assert not Path("audit.html").exists()


def test_the_record_is_not_written_over(kdmem, record):
    before = record.read_bytes()
    done = kdmem("report", record, "--to", record)
    assert done.code == 2
    assert "--to would write over the record" in done.err
    assert record.read_bytes() == before
