"""`kdmem report`: a saved report in other formats, and what it refuses to write."""

from __future__ import annotations

import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest

from pytest_kdmem.base.files import write_json
from tests.report.audits import DATA, audit_with_examples


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
    assert "--to would overwrite the record" in done.err
    assert record.read_bytes() == before


def test_a_record_in_an_object_store_is_written_there_in_other_formats(kdmem, record, bucket):
    assert kdmem("report", record, "--to", "s3://results/audit.json").code == 0
    done = kdmem("report", "s3://results/audit.json", "--to", "s3://results/out/audit.html", "--to", "audit.md")
    assert (done.code, done.err) == (0, "")
    assert "report in s3://results/out/audit.html" in done.out
    kdmem("report", record, "--to", "audit.html")
    assert bucket["out/audit.html"] == Path("audit.html").read_bytes()
    assert not Path("s3:").exists()


def test_what_is_wrong_with_an_address_is_one_sentence(kdmem, record, bucket):
    for arguments, message in (
        (
            ("s3://results/absent.json", "--to", "a.md"),
            "expected at s3://results/absent.json, and there is no such file",
        ),
        ((record, "--to", "s3://results/audit.docx"), "A report ends in one of .json"),
        ((record, "--to", "s3://key:secret@results/audit.json"), "without a password was expected"),
        ((record, "--to", "s3://results/*.json"), "The address of one file was expected"),
        ((record, "--to", "http://results/audit.json"), "An address must begin with file://, s3://"),
    ):
        done = kdmem("report", *arguments)
        assert done.code == 2
        assert message in done.err
        assert len(done.err.splitlines()) == 1
        assert "secret" not in done.err
    assert bucket.files == []


def test_a_report_with_text_is_written_to_no_object_store(kdmem, tmp_path, bucket):
    shown = audit_with_examples(prefix=("text",) * 3, suffix=("text",) * 3)
    write_json(shown.to_json(), tmp_path / "shown.json")
    done = kdmem("report", "shown.json", "--to", "s3://results/audit.html")
    assert done.code == 2
    assert "A path on this machine was expected for a report with text" in done.err
    assert bucket.files == []
