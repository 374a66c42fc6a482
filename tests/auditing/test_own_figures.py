"""Figures kept of another audit are refused, and each of several students must be compared by a gate."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pytest_kdmem.auditing.own_figures import compares_student, refuse_foreign, with_students_compared
from pytest_kdmem.auditing.report import Report
from pytest_kdmem.metrics.estimate import Comparison
from pytest_kdmem.metrics.recorder import Refused
from tests.metrics.score_tables import memorization_from, row
from tests.report.audits import FAILING, PASSING, full_audit, gate, rate

OWN = {role: memorization_from([row("a")], subject=role) for role in ("student", "baseline")}


class OwnAudit:
    """The parts of an audit that tell its own models: their roles, and the tables of their scores."""

    scores = tuple(memorization.scores for memorization in OWN.values())
    roles = {role: memorization.scores.model for role, memorization in OWN.items()}  # noqa: RUF012


def kept_of(role: str, digest: str) -> Any:
    return replace(OWN[role].rate, model_digest=digest)


def test_a_figure_of_another_audits_model_is_refused_on_either_side() -> None:
    own, other = OWN["student"].rate, kept_of("student", "another model")
    audit: Any = OwnAudit()
    kept = [
        Comparison(own, "<=", 0.5),
        Comparison(other, "<=", 0.5),
        Comparison(own, "<=", kept_of("baseline", "another model")),
        Comparison(replace(other, subject="student on wiki"), "<=", 0.5),
        Comparison(kept_of("student", ""), "<=", 0.5),
        Comparison(replace(other, subject="elsewhere"), "<=", 0.5),
    ]
    looked_at = refuse_foreign(kept, audit)
    assert [isinstance(entry, Refused) for entry in looked_at] == [False, True, True, True, False, False]
    assert looked_at[0] is kept[0]
    assert "one was kept from another audit's baseline" in looked_at[2].reason


def test_an_audit_that_measured_nothing_has_no_figure_of_its_own() -> None:
    [entry] = refuse_foreign([Comparison(OWN["student"].rate, "<=", 0.5)], None)
    assert isinstance(entry, Refused)
    refused = Refused("before")
    assert refuse_foreign([refused], None) == [refused]


@pytest.mark.parametrize(("gates", "compared"), [((PASSING,), False), ((PASSING, FAILING), True), ((), False)])
def test_a_student_is_compared_by_a_gate_with_its_figure_on_either_side(gates: Any, compared: bool) -> None:
    assert compares_student(full_audit(gates=gates)) is compared
    above = gate("test_baseline", rate(19, 1000, "baseline"), ">=", rate(1, 1000))
    assert compares_student(full_audit(gates=(*gates, above)))


def test_one_of_several_students_that_passes_uncompared_does_not_pass() -> None:
    passing = full_audit(gates=(PASSING,), not_run=(), student="soft")
    [audit] = with_students_compared(Report((passing,))).audits
    assert audit.gates[0] == PASSING
    assert (audit.gates[1].name, audit.gates[1].outcome) == ("student", "error")
    assert "A figure of student soft was expected to be compared" in audit.gates[1].reason
    for stays in (replace(passing, student=""), replace(passing, not_run=("a",)), replace(passing, gates=(FAILING,))):
        assert with_students_compared(Report((stays,))).audits == (stays,)
