"""Report → JUnit XML, and the properties that pytest's own JUnit file gets."""

from __future__ import annotations

from datetime import datetime
from xml.etree import ElementTree

from pytest_kdmem.estimate import MIRRORED, SIGN, Estimate
from pytest_kdmem.report.plain import plain
from pytest_kdmem.report.record import Report
from pytest_kdmem.result import AuditResult
from pytest_kdmem.result_entries import Gate

KINDS = {"fail": "failure", "inconclusive": "failure", "error": "error"}


def properties(gate: Gate) -> list[tuple[str, str]]:
    """What a gate compared, as names and values; ``kdmem_bound`` is the bound that the comparison reads."""
    named = [("kdmem_outcome", gate.outcome)]
    if gate.estimate is None or gate.operator is None or gate.threshold is None:
        return named
    estimate, limit = gate.estimate, gate.threshold
    against = limit.facing(MIRRORED[gate.operator]) if isinstance(limit, Estimate) else limit
    return [
        *named,
        ("kdmem_metric", plain(gate.metric)),
        ("kdmem_subject", plain(estimate.subject)),
        ("kdmem_value", f"{estimate.value:.9g}"),
        ("kdmem_bound", f"{estimate.facing(gate.operator):.9g}"),
        ("kdmem_k", "" if estimate.k is None else str(estimate.k)),
        ("kdmem_n", str(estimate.n)),
        ("kdmem_threshold", f"{SIGN[gate.operator]} {against:.9g}"),
    ]


def render(report: Report) -> str:
    """XML in the shape of pytest's ``xunit2``: a suite per audit, a case per gate and per test that was not run."""
    root = ElementTree.Element("testsuites", name="pytest-kdmem")
    for audit in report.audits:
        root.append(_suite(audit))
    ElementTree.indent(root)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'


def _suite(audit: AuditResult) -> ElementTree.Element:
    outcomes = [KINDS.get(gate.outcome, "") for gate in audit.gates]
    suite = ElementTree.Element(
        "testsuite",
        name=plain(audit.name) or "audit",
        tests=str(len(outcomes) + len(audit.not_run)),
        failures=str(outcomes.count("failure")),
        errors=str(outcomes.count("error")),
        skipped=str(len(audit.not_run)),
        time="0",
        timestamp=_timestamp(audit.created),
        hostname="",
    )
    suite.extend([_case(gate) for gate in audit.gates])
    for nodeid in audit.not_run:
        case = ElementTree.SubElement(suite, "testcase", _place(nodeid), time="0")
        ElementTree.SubElement(case, "skipped", type="kdmem.not_run", message="not run")
    return suite


def _case(gate: Gate) -> ElementTree.Element:
    case = ElementTree.Element("testcase", _place(gate.nodeid), time="0")
    if kind := KINDS.get(gate.outcome):
        said = ElementTree.SubElement(case, kind, type=f"kdmem.{gate.outcome}", message=plain(gate.reason))
        said.text = "\n".join(plain(line) for line in (gate.reason, gate.next_step, gate.command) if line)
    # The schema has properties of suites only; of cases, readers of JUnit know them in this form.
    told = ElementTree.SubElement(case, "system-out")
    told.text = "\n".join(f"[[PROPERTY|{name}={value}]]" for name, value in properties(gate))
    return case


def _place(nodeid: str) -> dict[str, str]:
    """A test as pytest's own file names it: dotted path and classes, then the name."""
    *places, name = nodeid.split("::")
    dotted = ".".join(places).replace(".py", "").replace("/", ".")
    return {"classname": plain(dotted), "name": plain(name)}


def _timestamp(created: str) -> str:
    """As the schema wants it: seconds, and no time zone."""
    try:
        return datetime.fromisoformat(created).replace(tzinfo=None).isoformat(timespec="seconds")
    except ValueError:
        return "1970-01-01T00:00:00"
