"""However a test is written, it counts as a gate only if every comparison in it was made and held."""

from __future__ import annotations

import pytest

from tests.audit_project import further_warnings
from tests.plugin.gate_ways import RIGHT, module, wrong_ways


def held(audit_project, ways: dict[str, str]) -> dict[str, bool]:
    """Whether each test held its gates, and every test of the session did what it said."""
    audit_project.gates(module(ways))
    result = audit_project.run("--kdmem-report=audit.json", "-p", "no:warnings", "-q", "--tb=no", "-rN")
    report = audit_project.report("audit.json")
    outcomes: dict[str, list[bool]] = {}
    for gate in report.gates:
        outcomes.setdefault(gate.nodeid, []).append(gate.outcome == "pass" and gate.estimate is not None)
    assert not further_warnings(report)
    assert result.ret != pytest.ExitCode.INTERNAL_ERROR
    nodeids = (f"test_audit.py::test_{index}" for index in range(len(ways)))
    return {name: all(outcomes.get(nodeid, [False])) for name, nodeid in zip(ways, nodeids, strict=True)}


def test_no_wrong_way_is_a_gate_that_held(audit_project):
    ways = wrong_ways()
    assert len(ways) >= 218
    assert [name for name, is_held in held(audit_project, ways).items() if is_held] == []


def test_every_right_way_is_a_gate_that_held(audit_project):
    assert len(RIGHT) >= 60
    assert [name for name, is_held in held(audit_project, RIGHT).items() if not is_held] == []


def test_a_session_of_right_ways_alone_is_a_release(audit_project):
    audit_project.gates(module(RIGHT))
    assert audit_project.run("--kdmem-report=audit.md").ret == pytest.ExitCode.OK
    assert "May ship: all" in (audit_project.path / "audit.md").read_text()
