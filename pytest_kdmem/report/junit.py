"""Report → JUnit XML, and the properties that pytest's own JUnit file gets."""

from __future__ import annotations

import re
from datetime import datetime
from xml.etree import ElementTree

from pytest_kdmem.audit.report import Report
from pytest_kdmem.audit.result import AuditResult
from pytest_kdmem.audit.schema import Gate
from pytest_kdmem.metrics.estimate import MIRRORED, SIGN, Estimate
from pytest_kdmem.report.sanitize import REPLACEMENT, sanitize

KINDS = {"fail": "failure", "inconclusive": "failure", "error": "error"}
# Glyphs of unicode that steer nothing, and that no XML may hold.
NOT_IN_XML = str.maketrans(dict.fromkeys("\ufffe\uffff", REPLACEMENT))


def gate_properties(gate: Gate) -> list[tuple[str, str]]:
    """What a gate compared, as names and values; ``kdmem_bound`` is the bound that the comparison reads."""
    named: list[tuple[str, str]] = [("kdmem_outcome", gate.outcome)]
    if gate.estimate is None or gate.operator is None or gate.threshold is None:
        return named
    estimate, limit = gate.estimate, gate.threshold
    against = limit.bound_for(MIRRORED[gate.operator]) if isinstance(limit, Estimate) else limit
    return [
        *named,
        ("kdmem_metric", _text(gate.metric)),
        ("kdmem_subject", _text(estimate.subject)),
        ("kdmem_value", f"{estimate.value:.9g}"),
        ("kdmem_bound", f"{estimate.bound_for(gate.operator):.9g}"),
        ("kdmem_k", "" if estimate.k is None else str(estimate.k)),
        ("kdmem_n", str(estimate.n)),
        ("kdmem_threshold", f"{SIGN[gate.operator]} {against:.9g}"),
    ]


def render(report: Report) -> str:
    """XML in the shape of pytest's ``xunit2``: a suite per audit, a case per gate and per test that was not run."""
    suites = [_suite(audit) for audit in report.audits]
    sums = {name: str(sum(int(suite.attrib[name]) for suite in suites)) for name in ("tests", "failures", "errors")}
    root = ElementTree.Element("testsuites", sums, name="pytest-kdmem")
    root.extend(suites)
    ElementTree.indent(root)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'


def _suite(audit: AuditResult) -> ElementTree.Element:
    outcomes = [KINDS.get(gate.outcome, "") for gate in audit.gates]
    counts = {
        "tests": len(outcomes) + len(audit.not_run),
        "failures": outcomes.count("failure"),
        "errors": outcomes.count("error"),
        "skipped": len(audit.not_run),
    }
    told = {name: str(number) for name, number in counts.items()} | _timestamp(audit.created)
    suite = ElementTree.Element("testsuite", told, name=_text(audit.name) or "audit")
    suite.extend([_case(gate) for gate in audit.gates])
    for nodeid in audit.not_run:
        case = ElementTree.SubElement(suite, "testcase", _place(nodeid))
        ElementTree.SubElement(case, "skipped", type="kdmem.not_run", message="not run")
    return suite


def _case(gate: Gate) -> ElementTree.Element:
    case = ElementTree.Element("testcase", _place(gate.nodeid))
    if kind := KINDS.get(gate.outcome):
        said = ElementTree.SubElement(case, kind, type=f"kdmem.{gate.outcome}", message=_text(gate.reason))
        said.text = "\n".join(_text(line) for line in (gate.reason, gate.next_step, gate.command) if line)
    # The schema has properties of suites only; of cases, readers of JUnit know them in this form.
    told = ElementTree.SubElement(case, "system-out")
    told.text = "\n".join(f"[[PROPERTY|{name}={value}]]" for name, value in gate_properties(gate))
    return case


def _place(nodeid: str) -> dict[str, str]:
    """A test as pytest's own file names it: dotted path and classes, then the name with its parameters."""
    address, bracket, parameters = nodeid.partition("[")
    path, *places = address.split("::")
    *outer, name = [re.sub(r"\.py$", "", path.replace("/", ".")), *places]
    return {"classname": _text(".".join(outer)), "name": _text(name + bracket + parameters)}


def _timestamp(created: str) -> dict[str, str]:
    """Seconds and time zone are as much as is told; nothing where it is no time."""
    try:
        return {"timestamp": datetime.fromisoformat(created).isoformat(timespec="seconds")}
    except ValueError:
        return {}


def _text(text: str) -> str:
    return sanitize(text).translate(NOT_IN_XML)
