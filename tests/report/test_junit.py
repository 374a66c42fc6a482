"""The JUnit report is valid by the published schema, counts right, and stays XML whatever it holds."""

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

from pytest_kdmem.auditing.schema import Gate
from pytest_kdmem.metrics.estimate import Estimate
from pytest_kdmem.report.junit import gate_properties, render
from pytest_kdmem.report.sanitize import sanitize
from tests.report.any_report import HOSTILE, TEXT, random_reports
from tests.report.audits import (
    BROKEN,
    FAILING,
    PASSING,
    UNDECIDED,
    each_saved_report,
    full_audit,
    gate,
    rate,
    render_audits,
    render_saved,
)

PROPERTY = "[[PROPERTY|"


@pytest.fixture(scope="session")
def schema() -> xmlschema.XMLSchema:
    path = Path(os.environ.get("KDMEM_SCHEMAS", "")) / "junit-10.xsd"
    if not path.is_file():
        pytest.skip("no junit-10.xsd: .ci/schemas FOLDER fetches it, and KDMEM_SCHEMAS names the folder")
    return xmlschema.XMLSchema(str(path))


def parse(text: str) -> ElementTree.Element:
    return ElementTree.fromstring(text.encode())


def properties_of(case: ElementTree.Element) -> list[tuple[str, str]]:
    lines = (case.findtext("system-out") or "").split("\n")
    assert all(line.startswith(PROPERTY) and line.endswith("]]") for line in lines)
    pairs = (line.removeprefix(PROPERTY).removesuffix("]]").partition("=") for line in lines)
    return [(name, value) for name, _, value in pairs]


def in_xml(text: str) -> str:
    return sanitize(text).replace("\ufffe", "\ufffd").replace("\uffff", "\ufffd")


def test_outcomes_are_counted_as_failures_errors_and_skips() -> None:
    root = parse(render_audits(render, full_audit(), full_audit(name="b", gates=(PASSING,), not_run=())))
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


def test_a_failure_gives_its_reason_next_step_and_command() -> None:
    case = parse(render_audits(render, full_audit(gates=(FAILING,))))[0][0]
    failure = case.find("failure")
    assert failure is not None
    assert failure.get("message") == FAILING.reason
    assert failure.text == f"{FAILING.reason}\n{FAILING.next_step}\n{FAILING.command}"


def test_properties_hold_what_was_compared() -> None:
    assert gate_properties(FAILING) == [
        ("kdmem_outcome", "fail"), ("kdmem_metric", "memorization rate"), ("kdmem_subject", "student"),
        ("kdmem_value", "0.019"), ("kdmem_bound", f"{rate(19, 1000).high:.9g}"), ("kdmem_k", "19"), ("kdmem_n", "1000"),
        ("kdmem_threshold", "≤ 0.01"),
    ]  # fmt: skip
    assert gate_properties(BROKEN) == [("kdmem_outcome", "error")]


def test_bound_and_threshold_are_those_that_were_compared() -> None:
    reduction = Estimate("reduction", "student", 2.4, 2.25, 2.75, None, 9, unit="factor")
    properties = dict(gate_properties(gate("test_r", reduction, ">=", 2.0)))
    assert (properties["kdmem_bound"], properties["kdmem_threshold"], properties["kdmem_k"]) == ("2.25", "≥ 2", "")
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
    case = parse(render_audits(render, full_audit(gates=(replace(PASSING, nodeid=nodeid),))))[0][0]
    *names, name = mangle_test_address(nodeid)
    assert (case.get("classname"), case.get("name")) == (".".join(names), name)


@pytest.mark.parametrize("created", ["", "yesterday", "\x00"])
def test_a_creation_time_that_is_no_time_is_left_out(created: str) -> None:
    assert "timestamp" not in parse(render_audits(render, full_audit(created=created)))[0].attrib


@each_saved_report
def test_saved_reports_are_valid(saved: str, schema: xmlschema.XMLSchema) -> None:
    schema.validate(render_saved(saved, ".xml"))


def test_a_report_with_every_part_is_valid(schema: xmlschema.XMLSchema) -> None:
    schema.validate(render_audits(render, full_audit(), full_audit(name="b", gates=(), not_run=())))


def test_no_report_breaks_the_xml() -> None:
    for report in random_reports():
        root = parse(render(report))
        for suite, audit in zip(root, report.audits, strict=True):
            assert suite.get("name") == (in_xml(audit.name) or "audit")
            assert_counts(suite, len(audit.gates) + len(audit.not_run))
            for case, recorded in zip(suite, audit.gates, strict=False):
                assert properties_of(case) == gate_properties(recorded)
                if recorded.outcome != "pass":
                    assert case[0].get("message") == in_xml(recorded.reason)


def assert_counts(suite: ElementTree.Element, cases: int) -> None:
    assert len(list(suite)) == cases == int(suite.get("tests", ""))
    for element, count in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        assert len(list(suite.iter(element))) == int(suite.get(count, ""))


def test_any_report_is_valid(schema: xmlschema.XMLSchema) -> None:
    for report in random_reports():
        schema.validate(render(report))


@given(TEXT)
@settings(max_examples=300)
def test_pytest_writes_the_properties_unchanged(text: str) -> None:
    estimate = replace(rate(1, 9), metric=text, subject=text)
    for _, value in gate_properties(Gate("n", "i", text, estimate, "<=", 0.5, "pass", "")):
        assert bin_xml_escape(value) == value


def test_hostile_reasons_are_read_back_sanitized() -> None:
    gates = tuple(
        replace(FAILING, nodeid=f"a.py::{text}", reason=text, command="") for text in HOSTILE if "[" not in text
    )
    suite = parse(render_audits(render, full_audit(gates=gates, not_run=())))[0]
    for case, recorded in zip(suite, gates, strict=True):
        assert case[0].get("message") == in_xml(recorded.reason)
