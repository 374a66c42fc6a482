"""The report of a session is put together audit by audit; no test that failed or did not run is lost."""

from __future__ import annotations

from dataclasses import replace

from pytest_kdmem.auditing.assemble import assemble_report, order_gates
from pytest_kdmem.auditing.result import AuditResult
from tests.auditing.estimates import rate
from tests.auditing.results import full_result

EMPTY = AuditResult("2026", {}, {})
GATES = {name: replace(full_result().gates[1], nodeid=name) for name in ("a1", "a2", "b1")}
TESTS = {"a1": "a", "b1": "b", "b2": "b", "a2": "a"}


def test_the_parts_of_two_processes_are_put_together_audit_by_audit() -> None:
    parts = [
        replace(EMPTY, name="b", not_run=("b1",)),
        replace(EMPTY, name="a", gates=(GATES["a2"],), memorization={"student": rate(1, 9)}, warnings=("w",)),
        replace(EMPTY, name="b", gates=(GATES["b1"],), memorization={"student": rate(2, 9)}),
        replace(EMPTY, name="a", gates=(GATES["a1"],), memorization={"teacher": rate(3, 9)}, warnings=("w",)),
    ]
    audits = assemble_report(parts, TESTS).audits
    assert [audit.name for audit in audits] == ["a", "b"]
    assert [[gate.nodeid for gate in audit.gates] for audit in audits] == [["a1", "a2"], ["b1"]]
    assert [audit.not_run for audit in audits] == [(), ("b2",)]
    assert [{role: estimate.k for role, estimate in audit.memorization.items()} for audit in audits] == [
        {"student": 1, "teacher": 3},
        {"student": 2},
    ]
    assert [audit.warnings for audit in audits] == [("w",), ()]


def test_a_test_that_failed_without_a_gate_gets_one() -> None:
    parts = [replace(EMPTY, name="a", gates=(GATES["a1"],)), replace(EMPTY, name="b", gates=(GATES["b1"],))]
    first, second = assemble_report(parts, TESTS, ["a2", "a1", "elsewhere"]).audits
    assert [(gate.nodeid, gate.outcome) for gate in first.gates] == [("a1", "pass"), ("a2", "error")]
    assert [gate.nodeid for gate in second.gates] == ["b1"]
    assert first.not_run == ()


def test_what_could_not_be_collected_is_missing_from_every_audit() -> None:
    parts = [replace(EMPTY, name="a", gates=(GATES["a1"],)), replace(EMPTY, name="b", gates=(GATES["b1"],))]
    audits = assemble_report(parts, TESTS, uncollected=["broken.py"]).audits
    assert [audit.not_run for audit in audits] == [("a2", "broken.py"), ("b2", "broken.py")]


def test_a_narrowed_session_narrows_every_audit() -> None:
    parts = [replace(EMPTY, name="a", narrowed=True), replace(EMPTY, name="b")]
    assert [audit.narrowed for audit in assemble_report(parts, TESTS).audits] == [True, False]
    assert [audit.narrowed for audit in assemble_report(parts, TESTS, narrowed=True).audits] == [True, True]


def test_gates_stand_in_the_order_of_their_tests() -> None:
    result = replace(EMPTY, gates=(GATES["b1"], GATES["a2"], GATES["a1"]))
    ordered = order_gates(result, ["a1", "left", "a2"])
    assert [gate.nodeid for gate in ordered.gates] == ["a1", "a2", "b1"]
    assert ordered.not_run == ("left",)


def test_processes_that_judged_different_files_of_one_model_leave_no_gate_that_passes() -> None:
    student = full_result().models["student"]
    first = replace(EMPTY, name="a", gates=(GATES["a1"],), models={"student": student})
    second = replace(EMPTY, name="a", gates=(GATES["a2"],), models={"student": replace(student, digest="other")})
    [audit, *_] = assemble_report([first, first], TESTS).audits
    assert [gate.outcome for gate in audit.gates] == ["pass", "pass"]
    [audit, *_] = assemble_report([first, second], TESTS).audits
    assert [gate.outcome for gate in audit.gates] == ["error", "error"]
    [warning] = audit.warnings
    assert "runs/student was expected to stay as it is" in warning
    of_hub = replace(second, models={"student": replace(student, digest="other", revision="v2")})
    [audit, *_] = assemble_report([first, of_hub], TESTS).audits
    assert [gate.outcome for gate in audit.gates] == ["pass", "pass"]
