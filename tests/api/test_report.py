"""A report says what it found in whatever way it is looked at, and never passes where nothing was decided."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from pytest_kdmem.api.report import AuditReport
from pytest_kdmem.auditing.report import Report
from pytest_kdmem.errors import ComparisonError, GateError, SpecError
from tests.report.audits import FAILING, PASSING, UNDECIDED, full_audit


def report(*gates, **changed) -> AuditReport:
    return AuditReport(Report((full_audit(gates=gates, **({"not_run": ()} | changed)),)))


def test_a_report_passes_if_every_gate_holds():
    assert report(PASSING).passed is True
    assert report(PASSING, FAILING).passed is False
    assert report(PASSING, UNDECIDED).passed is False
    assert report(PASSING, not_run=("a",)).passed is False
    assert report().passed is None
    report(PASSING).check()
    for undecided in (report(PASSING, FAILING), report(PASSING, not_run=("a",)), report()):
        with pytest.raises(GateError, match=r"^(Do not ship|Not decided)"):
            undecided.check()


def test_a_report_is_no_truth_value():
    with pytest.raises(ComparisonError, match="passed"):
        bool(report(PASSING))


def test_a_report_is_printed_as_in_a_terminal():
    failed = report(PASSING, FAILING)
    assert repr(failed) == "AuditReport(Do not ship: 1 of 2 gates did not pass)"
    assert str(failed).endswith("\nDo not ship: 1 of 2 gates did not pass.")
    assert "train.jsonl" in str(failed)
    sink = io.StringIO()
    Console(file=sink, width=90, color_system=None).print(failed)
    assert sink.getvalue().rstrip().endswith("Do not ship: 1 of 2 gates did not pass.")
    assert max(map(len, sink.getvalue().splitlines())) <= 90
    assert "\x1b[" not in sink.getvalue()
    coloured = io.StringIO()
    Console(file=coloured, width=90, color_system="standard", force_terminal=True).print(failed)
    assert "\x1b[" in coloured.getvalue()


def test_a_notebook_shows_the_page_in_a_frame_that_it_cannot_leave():
    shown = report(PASSING, warnings=('"><script>alert(1)</script>',))._repr_html_()
    assert shown.startswith('<iframe sandbox="allow-scripts"')
    page = shown.partition('srcdoc="')[2]
    assert page.count('"') == 1
    assert "May ship: its one gate passes" in page
    assert "<" not in page.partition('"')[0]


@pytest.mark.parametrize("ending", [".json", ".html", ".md", ".sarif", ".xml", ".txt"])
def test_a_report_is_saved_by_its_ending(tmp_path, ending):
    failed = report(FAILING)
    failed.save(tmp_path / f"audit{ending}")
    assert (tmp_path / f"audit{ending}").stat().st_size > 500
    if ending == ".json":
        assert json.loads((tmp_path / "audit.json").read_text()) == failed.to_json()


def test_a_report_is_saved_in_known_formats_alone(tmp_path):
    with pytest.raises(SpecError, match=r"\.pdf"):
        report(FAILING).save(str(tmp_path / "audit.pdf"))
