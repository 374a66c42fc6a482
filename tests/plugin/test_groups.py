"""Groups through the real plugin: a gate over all groups, the report's table, and warm audits by another column."""

from __future__ import annotations

import json
from typing import Any

from pytest_kdmem.plugin.exit_codes import NOT_DECIDED

GATES = """
def test_no_group_is_recited_more(memorization, student, teacher):
    assert memorization(student).by_group <= memorization(teacher).by_group

def test_no_group_is_recited(memorization, student):
    assert memorization(student).by_group <= 0.0

def test_a_group_inherits_nothing(inheritance):
    assert inheritance().by_group["acme"].ratio <= 0.0
"""


def test_groups_are_gated_and_shown(audit_project: Any) -> None:
    cast = audit_project.cast
    customers = ["acme" if row % 2 else None for row in range(len(cast.texts))]
    rows = [{"text": text, "customer": customer} for text, customer in zip(cast.texts, customers, strict=True)]
    (audit_project.path / "grouped.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    audit_project.gates(GATES)
    arguments = ("--kdmem-training-set=grouped.jsonl", "--kdmem-group-column=customer", "--kdmem-report=audit.json")
    result = audit_project.run(*arguments)
    result.stdout.fnmatch_lines(["✓ no group is recited more*worst of 2 groups, customer *% of teacher (* of 10)"])
    report = audit_project.report("audit.json")
    figures = {figure.key: figure.estimate for figure in report.figures if figure.family == "group"}
    for role in ("teacher", "baseline", "student"):
        for name, customer in (("acme", "acme"), ("(none)", None)):
            recited = [row for row in cast.recited_by(role) if customers[row] == customer]
            assert (figures["group", role, name].k, figures["group", role, name].n) == (len(recited), 10)
    # One assertion is one gate, whether it holds or not.
    assert [gate.name for gate in report.gates] == [
        "test_no_group_is_recited_more", "test_no_group_is_recited", "test_a_group_inherits_nothing"
    ]  # fmt: skip
    gate = report.gates[1]
    assert gate.parts_not_held == 2
    failed = [gate.estimate, *(part.estimate for part in gate.further_parts)]
    assert {estimate.subject for estimate in failed} == {"student on customer acme", "student on customer (none)"}
    assert {(estimate.part, estimate.part_name, estimate.parts) for estimate in failed} == {
        ("group", "customer acme", 2), ("group", "customer (none)", 2)
    }  # fmt: skip
    assert len(failed) == 2
    other = gate.further_parts[0].estimate
    result.stdout.fnmatch_lines([f"*{other.part_name}: * ({other.k} of 10) > 0.00%*"])
    inherited = {figure.label: figure.estimate for figure in report.figures if " " in figure.label}
    assert {"acme, inheritance ratio", "(none), reduction"} <= set(inherited)
    by_hand = cast.recited_by("teacher") - cast.recited_by("baseline")
    of_acme = {row for row in by_hand if customers[row]}
    assert inherited["acme, inheritance ratio"].n == len(of_acme)
    assert inherited["acme, inheritance ratio"].k == len(of_acme & cast.recited_by("student"))


def test_a_group_that_is_gone_passes_no_gate(audit_project: Any) -> None:
    cast = audit_project.cast
    rows = [{"text": text, "customer": "acme"} for text in cast.texts]
    (audit_project.path / "grouped.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    audit_project.gates(
        """
        def test_customer(memorization, student):
            for name, part in memorization(student).by_group.items():
                assert part.rate <= 0.5
                if name == "gone":
                    assert part.rate <= 0.0
        """
    )
    result = audit_project.run("--kdmem-training-set=grouped.jsonl", "--kdmem-group-column=customer")
    assert result.ret == NOT_DECIDED
    audit_project.gates(
        """
        def test_customer(memorization, inheritance, student):
            assert memorization(student).rate <= 0.5
            try:
                assert inheritance().by_group["gone"].ratio <= 0.0
            except Exception:
                pass
        """
    )
    result = audit_project.run("--kdmem-training-set=grouped.jsonl", "--kdmem-group-column=customer")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*A group with an example in it was expected; found 'gone', and there are acme*"])
