"""Renders a report as JUnit XML, and gives the properties of a gate for pytest's own JUnit file."""

from __future__ import annotations

import re
from datetime import datetime
from xml.etree import ElementTree

from pytest_kdmem.auditing.report import Report
from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.auditing.schema import Gate
from pytest_kdmem.errors.harmless import REPLACEMENT
from pytest_kdmem.metrics.direction import MIRRORED
from pytest_kdmem.metrics.estimate import SIGN, Estimate
from pytest_kdmem.report.gate_text import further_parts
from pytest_kdmem.report.sanitize import sanitize
from pytest_kdmem.report.short_names import with_short_names

ELEMENTS = {"fail": "failure", "inconclusive": "failure", "error": "error"}
# Unicode noncharacters, which are no control characters, but which no XML may hold.
NOT_IN_XML = str.maketrans(dict.fromkeys("\ufffe\uffff", REPLACEMENT))


def gate_properties(gate: Gate) -> list[tuple[str, str]]:
    """Return names and values of what a gate compared; ``kdmem_bound`` is the estimate's bound that it compared."""
    properties: list[tuple[str, str]] = [("kdmem_outcome", gate.outcome)]
    if gate.estimate is None or gate.operator is None or gate.threshold is None:
        return properties
    estimate, threshold = gate.estimate, gate.threshold
    limit = threshold.bound_for(MIRRORED[gate.operator]) if isinstance(threshold, Estimate) else threshold
    return [
        *properties,
        ("kdmem_metric", _xml_text(gate.metric)),
        ("kdmem_subject", _xml_text(estimate.subject)),
        ("kdmem_value", f"{estimate.value:.9g}"),
        ("kdmem_bound", f"{estimate.bound_for(gate.operator):.9g}"),
        ("kdmem_k", "" if estimate.k is None else str(estimate.k)),
        ("kdmem_n", str(estimate.n)),
        ("kdmem_threshold", f"{SIGN[gate.operator]} {limit:.9g}"),
    ]


def render(report: Report) -> str:
    """Return XML in the form of pytest's ``xunit2``: a suite per audit, and a case per gate and per test not run."""
    suites = [_suite(audit) for audit in report.audits]
    totals = {name: str(sum(int(suite.attrib[name]) for suite in suites)) for name in ("tests", "failures", "errors")}
    root = ElementTree.Element("testsuites", totals, name="pytest-kdmem")
    root.extend(suites)
    ElementTree.indent(root)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'


def _suite(audit: AuditResult) -> ElementTree.Element:
    elements = [ELEMENTS.get(gate.outcome, "") for gate in audit.gates]
    counts = {
        "tests": len(audit.gates) + len(audit.not_run),
        "failures": elements.count("failure"),
        "errors": elements.count("error"),
        "skipped": len(audit.not_run),
    }
    attributes = {name: str(number) for name, number in counts.items()} | _timestamp(audit.created)
    suite = ElementTree.Element("testsuite", attributes, name=_xml_text(audit.name) or "audit")
    suite.extend([_case(gate) for gate in with_short_names(audit).gates])
    for nodeid in audit.not_run:
        case = ElementTree.SubElement(suite, "testcase", _test_address(nodeid))
        ElementTree.SubElement(case, "skipped", type="kdmem.not_run", message="not run")
    return suite


def _case(gate: Gate) -> ElementTree.Element:
    case = ElementTree.Element("testcase", _test_address(gate.nodeid))
    if element := ELEMENTS.get(gate.outcome):
        failure = ElementTree.SubElement(case, element, type=f"kdmem.{gate.outcome}", message=_xml_text(gate.reason))
        lines = (gate.reason, *further_parts(gate), gate.next_step, gate.command)
        failure.text = "\n".join(_xml_text(line) for line in lines if line)
    # The schema allows properties of suites only. Readers of JUnit take those of cases in this form.
    output = ElementTree.SubElement(case, "system-out")
    output.text = "\n".join(f"[[PROPERTY|{name}={value}]]" for name, value in gate_properties(gate))
    return case


def _test_address(nodeid: str) -> dict[str, str]:
    """Return a test's address as pytest's JUnit file has it: dotted path and classes, then name with parameters."""
    address, bracket, parameters = nodeid.partition("[")
    path, *names = address.split("::")
    *outer, name = [re.sub(r"\.py$", "", path.replace("/", ".")), *names]
    return {"classname": _xml_text(".".join(outer)), "name": _xml_text(name + bracket + parameters)}


def _timestamp(created: str) -> dict[str, str]:
    """Return the time as an attribute, to the second and with its time zone; empty if the text is no time."""
    try:
        return {"timestamp": datetime.fromisoformat(created).isoformat(timespec="seconds")}
    except ValueError:
        return {}


def _xml_text(text: str) -> str:
    return sanitize(text).translate(NOT_IN_XML)
