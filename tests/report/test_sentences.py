"""The verdict is a pass only if every audit compared an estimate, ran all its tests, and failed no gate."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from pytest_kdmem.auditing.report import Report
from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.metrics.estimate import Estimate
from pytest_kdmem.report.sentences import (
    comparison_text,
    gate_summary,
    gate_title,
    overall_outcome,
    verdict_sentence,
)
from tests.report.audits import BROKEN, FAILING, PASSING, UNDECIDED, full_audit, gate, rate

GREEN = full_audit(gates=(PASSING,), not_run=())
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


def test_a_comparison_shows_the_bounds_that_were_compared() -> None:
    assert comparison_text(PASSING) == "0.47% ≤ 1.00%"
    assert comparison_text(gate("test_r", rate(19, 1000), ">=", 0.01)) == "1.25% ≥ 1.00%"
    pair = gate("test_p", rate(1, 1000), "<=", rate(40, 1000, "baseline"))
    low = rate(40, 1000, "baseline")
    assert comparison_text(pair) == f"0.47% ≤ {low.format_value(low.low)}"


def test_what_exceeds_its_limit_is_not_said_to_be_below_it() -> None:
    assert comparison_text(FAILING) == "2.78% > 1.00%"
    assert comparison_text(UNDECIDED) == "63.16% > 2.00%"
    assert comparison_text(gate("test_r", rate(19, 1000), ">=", 0.02)) == "1.25% < 2.00%"
    assert comparison_text(gate("test_r", rate(20, 1000, exhaustive=True), "<", 0.02)) == "2.00% ≥ 2.00%"


def test_of_models_compared_example_by_example_the_values_are_shown() -> None:
    overlapping = gate("test_p", rate(15, 1000), "<=", rate(20, 1000, "baseline"))
    assert comparison_text(replace(overlapping, outcome="pass")) == "1.50% ≤ 2.00%"
    assert " > " in comparison_text(replace(overlapping, outcome="fail"))
    apart = gate("test_p", rate(1, 1000), "<=", rate(40, 1000, "baseline"))
    assert comparison_text(replace(apart, outcome="inconclusive")).startswith("0.47% not shown ≤ ")


def test_a_gate_over_groups_says_that_copies_of_short_examples_were_not_looked_at() -> None:
    estimate = replace(rate(1, 1000), too_short_copies=16)
    shown = "0.47% ≤ 1.00% (one too short to look at stands 16 times)"
    assert comparison_text(replace(PASSING, estimate=estimate)) == shown


def test_losses_are_in_nats_a_token() -> None:
    loss = Estimate("loss", "student", 1.9932, 1.9, 2.0, None, 500, unit="nats")
    assert comparison_text(gate("test_l", loss, "<=", 2.1)) == "2.0000 ≤ 2.1000 nats a token"


def test_a_gate_without_a_comparison_shows_its_outcome() -> None:
    assert comparison_text(BROKEN) == "error"
    assert comparison_text(replace(UNDECIDED, estimate=rate(0, 0), threshold=math.inf)) == "undefined"


def test_the_title_of_a_gate_is_its_test_s_name_in_words() -> None:
    assert gate_title(FAILING) == "student recites little"
