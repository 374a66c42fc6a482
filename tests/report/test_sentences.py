"""The verdict is a pass only if every audit compared an estimate, ran all its tests, and failed no gate."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pytest_kdmem.auditing.report import Report
from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.report import html, markdown, terminal
from pytest_kdmem.report.sentences import gate_summary, overall_outcome, verdict_sentence
from tests.report.audits import FAILING, PASSING, full_audit, render_audits

GREEN = full_audit(gates=(PASSING,), not_run=())
UNDECIDED = replace(FAILING, outcome="inconclusive")
WITHOUT_ESTIMATE = replace(PASSING, estimate=None, operator=None, threshold=None)


@pytest.mark.parametrize(
    ("audits", "outcome", "sentence"),
    [
        ((GREEN,), "pass", "May ship: its one gate passes"),
        ((replace(GREEN, gates=(PASSING, PASSING)),), "pass", "May ship: all 2 gates pass"),
        ((GREEN, replace(GREEN, name="b")), "pass", "May ship: all 2 gates pass"),
        ((full_audit(),), "fail", "Do not ship: 3 of 4 gates did not pass; 1 not run"),
        ((GREEN, full_audit(name="b", gates=(FAILING,), not_run=())), "fail",
         "Do not ship: 1 of 2 gates did not pass"),
        ((full_audit(gates=(PASSING, UNDECIDED), not_run=()),), "fail",
         "Do not ship: 1 of 2 gates could not be decided"),
        ((full_audit(gates=(FAILING, UNDECIDED), not_run=()),), "fail", "Do not ship: 2 of 2 gates did not pass"),
        ((full_audit(gates=(PASSING,)),), "inconclusive", "Not decided: 1 of 2 gates run, all pass"),
        ((full_audit(gates=()),), "inconclusive", "Not decided: 0 of 1 gates run"),
        ((replace(GREEN, narrowed=True),), "inconclusive",
         "Not decided: 1 of 1 gates run, all pass; not all tests were asked for"),
        ((replace(GREEN, gates=(WITHOUT_ESTIMATE,)),), "inconclusive",
         "Not decided: 1 of 1 gates run, all pass; no estimate was compared"),
        ((GREEN, full_audit(name="b", gates=(), not_run=())), "inconclusive",
         "Not decided: 1 of 1 gates run, all pass; no estimate was compared in 1 of 2 audits"),
    ],
)  # fmt: skip
def test_verdicts(audits: tuple[AuditResult, ...], outcome: str, sentence: str) -> None:
    assert overall_outcome(audits) == outcome
    assert verdict_sentence(Report(audits)) == sentence


def test_summaries_of_one_audit() -> None:
    assert gate_summary(full_audit()) == "3 not passed"
    assert gate_summary(GREEN) == "all pass"
    assert gate_summary(full_audit(gates=(PASSING,))) == "all pass; 1 not run"
    assert gate_summary(full_audit(gates=(), not_run=())) == "no estimate compared"


@pytest.mark.parametrize(
    "render", [terminal.render, html.render, markdown.render], ids=["terminal", "html", "markdown"]
)
def test_no_report_repeats_advice(render: Any) -> None:
    gates = tuple(replace(FAILING, name=name, command="kdmem prefilter data") for name in ("test_a", "test_b"))
    text = render_audits(render, full_audit(gates=gates))
    assert text.count("kdmem prefilter data") == 1
    assert text.count("Deduplicate the training set") == text.count("Advice as for gate “a”.") == 1
