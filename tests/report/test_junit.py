"""The JUnit report is what pytest's own schema asks for, counts right, and stays XML whatever is in it."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
import xmlschema
from _pytest.junitxml import bin_xml_escape, mangle_test_address
from hypothesis import given, settings

from pytest_kdmem.audit.report import Report, read_report
from pytest_kdmem.audit.schema import Gate
from pytest_kdmem.metrics.estimate import Estimate
from pytest_kdmem.report.junit import gate_properties, render
from pytest_kdmem.report.sanitize import sanitize
from tests.report.any_report import (
    BROKEN,
    FAILING,
    HOSTILE,
    PASSING,
    TEXT,
    UNDECIDED,
    gate,
    of_reports,
    rate,
    rendered,
    reports,
    saved,
    whole,
)

PROPERTY = "[[PROPERTY|"


@pytest.fixture(scope="session")
def schema() -> xmlschema.XMLSchema:
    path = Path(os.environ.get("KDMEM_SCHEMAS", "")) / "junit-10.xsd"
    if not path.is_file():
        pytest.skip("no junit-10.xsd: .ci/schemas FOLDER fetches it, and KDMEM_SCHEMAS names the folder")
    return xmlschema.XMLSchema(str(path))


def parsed(text: str) -> ElementTree.Element:
    return ElementTree.fromstring(text.encode())


def told(case: ElementTree.Element) -> list[tuple[str, str]]:
    lines = (case.findtext("system-out") or "").split("\n")
    assert all(line.startswith(PROPERTY) and line.endswith("]]") for line in lines)
    pairs = (line.removeprefix(PROPERTY).removesuffix("]]").partition("=") for line in lines)
    return [(name, value) for name, _, value in pairs]


def in_xml(text: str) -> str:
    return sanitize(text).replace("\ufffe", "\ufffd").replace("\uffff", "\ufffd")


def test_outcomes_are_failures_errors_and_skips_and_are_counted() -> None:
    root = parsed(rendered(render, whole(), whole(name="b", gates=(PASSING,), not_run=())))
    assert (root.tag, root.attrib) == (
        "testsuites",
        {"name": "pytest-kdmem", "tests": "6", "failures": "2", "errors": "1"},
    )
    first, second = root
    assert first.attrib == {
        "name": "audits/a", "tests": "5", "failures": "2", "errors": "1", "skipped": "1",
        "timestamp": "2026-01-02T03:04:05+00:00",
    }  # fmt: skip
    assert (second.get("tests"), second.get("failures"), second.get("skipped")) == ("1", "0", "0")
    assert [[child.tag for child in case] for case in first] == [
        ["system-out"], ["failure", "system-out"], ["failure", "system-out"], ["error", "system-out"], ["skipped"],
    ]  # fmt: skip
    assert [child.get("type") for child in first.iter() if child.get("type")] == [
        "kdmem.fail", "kdmem.inconclusive", "kdmem.error", "kdmem.not_run",
    ]  # fmt: skip


def test_a_failure_says_why_what_next_and_by_which_command() -> None:
    case = parsed(rendered(render, whole(gates=(FAILING,))))[0][0]
    failure = case.find("failure")
    assert failure is not None
    assert failure.get("message") == FAILING.reason
    assert failure.text == f"{FAILING.reason}\n{FAILING.next_step}\n{FAILING.command}"


def test_properties_tell_what_was_compared() -> None:
    assert gate_properties(FAILING) == [
        ("kdmem_outcome", "fail"), ("kdmem_metric", "memorization rate"), ("kdmem_subject", "student"),
        ("kdmem_value", "0.019"), ("kdmem_bound", f"{rate(19, 1000).high:.9g}"), ("kdmem_k", "19"), ("kdmem_n", "1000"),
        ("kdmem_threshold", "≤ 0.01"),
    ]  # fmt: skip
    assert gate_properties(BROKEN) == [("kdmem_outcome", "error")]


def test_the_bound_and_the_threshold_are_those_that_were_compared() -> None:
    reduction = Estimate("reduction", "student", 2.4, 2.25, 2.75, None, 9, unit="factor")
    found = dict(gate_properties(gate("test_r", reduction, ">=", 2.0)))
    assert (found["kdmem_bound"], found["kdmem_threshold"], found["kdmem_k"]) == ("2.25", "≥ 2", "")
    pair = dict(gate_properties(gate("test_p", rate(1, 1000), "<=", rate(40, 1000, "baseline"))))
    assert pair["kdmem_threshold"] == f"≤ {rate(40, 1000).low:.9g}"
    undefined = dict(gate_properties(replace(UNDECIDED, estimate=rate(0, 0), threshold=math.inf)))
    assert (undefined["kdmem_value"], undefined["kdmem_threshold"]) == ("nan", "≤ inf")


@pytest.mark.parametrize(
    "nodeid",
    [
        "audits/a/test_a.py::test_x", "a.py::TestX::test_y", "a.py::test_x[a::b]", "a.py::TestX::test_y[[p.py/q]]",
        "a.py", "", "a.python/x.pyz::t",
    ],
)  # fmt: skip
def test_a_case_is_named_as_pytest_names_it(nodeid: str) -> None:
    case = parsed(rendered(render, whole(gates=(replace(PASSING, nodeid=nodeid),))))[0][0]
    *places, name = mangle_test_address(nodeid)
    assert (case.get("classname"), case.get("name")) == (".".join(places), name)


@pytest.mark.parametrize("created", ["", "yesterday", "\x00"])
def test_what_is_no_time_is_left_out(created: str) -> None:
    assert "timestamp" not in parsed(rendered(render, whole(created=created)))[0].attrib


@saved
def test_saved_reports_are_valid(path: Path, schema: xmlschema.XMLSchema) -> None:
    schema.validate(render(read_report(path)))


def test_a_whole_report_is_valid(schema: xmlschema.XMLSchema) -> None:
    schema.validate(rendered(render, whole(), whole(name="b", gates=(), not_run=())))


@given(reports())
@of_reports
def test_no_report_breaks_the_xml(report: Report) -> None:
    root = parsed(render(report))
    for suite, audit in zip(root, report.audits, strict=True):
        assert suite.get("name") == (in_xml(audit.name) or "audit")
        cases = list(suite)
        assert len(cases) == len(audit.gates) + len(audit.not_run) == int(suite.get("tests", ""))
        assert len(list(suite.iter("failure"))) == int(suite.get("failures", ""))
        assert len(list(suite.iter("error"))) == int(suite.get("errors", ""))
        assert len(list(suite.iter("skipped"))) == int(suite.get("skipped", ""))
        for case, one in zip(cases, audit.gates, strict=False):
            assert told(case) == gate_properties(one)
            if one.outcome != "pass":
                assert case[0].get("message") == in_xml(one.reason)


@given(reports())
@of_reports
def test_any_report_is_valid(schema: xmlschema.XMLSchema, report: Report) -> None:
    schema.validate(render(report))


@given(TEXT)
@settings(max_examples=300)
def test_pytest_writes_properties_as_they_are(text: str) -> None:
    estimate = replace(rate(1, 9), metric=text, subject=text)
    for _, value in gate_properties(Gate("n", "i", text, estimate, "<=", 0.5, "pass", "")):
        assert bin_xml_escape(value) == value


def test_hostile_names_come_back_as_they_are_shown() -> None:
    gates = tuple(
        replace(FAILING, nodeid=f"a.py::{text}", reason=text, command="") for text in HOSTILE if "[" not in text
    )
    suite = parsed(rendered(render, whole(gates=gates, not_run=())))[0]
    for case, one in zip(suite, gates, strict=True):
        assert case[0].get("message") == in_xml(one.reason)
