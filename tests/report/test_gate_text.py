"""A gate says in every report what was measured, over which set, and how its comparison came out."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from html import unescape
from typing import Any

import pytest

from pytest_kdmem.auditing.gates import gate_from
from pytest_kdmem.auditing.report import Report
from pytest_kdmem.metrics.estimate import Comparison, Estimate
from pytest_kdmem.report import github, html, junit, markdown, sarif, terminal
from pytest_kdmem.report.comment import CommentContext
from pytest_kdmem.report.comment import render as render_comment
from pytest_kdmem.report.gate_text import (
    ShownGate,
    comparison_text,
    further_parts,
    gate_title,
    measured_text,
    scope_text,
    scoped_comparison,
    shown_gates,
    without_repeated_advice,
)
from pytest_kdmem.report.sentences import verdict_sentence
from pytest_kdmem.specs.sampler import DeployedSampler, Draws, Sampler
from tests.report.audits import BROKEN, FAILING, PASSING, UNDECIDED, full_audit, gate, rate, render_audits

GREEDY = DeployedSampler(Sampler(temperature=0), "generation_config.json")


def test_a_comparison_shows_the_bounds_that_were_compared() -> None:
    assert comparison_text(PASSING) == "0.10% (1 of 1 000), bound 0.47% ≤ 1.00%"
    assert comparison_text(gate("test_r", rate(19, 1000), ">=", 0.01)) == "1.90% (19 of 1 000), bound 1.25% ≥ 1.00%"
    pair = gate("test_p", rate(1, 1000), "<=", rate(40, 1000, "baseline"))
    low = rate(40, 1000, "baseline")
    assert (
        comparison_text(pair)
        == f"0.10% (1 of 1 000), bound 0.47% ≤ bound {low.format_value(low.low)} of baseline (4.00%, 40 of 1 000)"
    )


def test_what_exceeds_its_limit_is_not_said_to_be_below_it() -> None:
    assert comparison_text(FAILING) == "1.90% (19 of 1 000), bound 2.78% > 1.00%"
    assert comparison_text(UNDECIDED) == "0.00% (0 of 3), bound 63.16% > 2.00%"
    assert comparison_text(gate("test_r", rate(19, 1000), ">=", 0.02)) == "1.90% (19 of 1 000), bound 1.25% < 2.00%"
    assert comparison_text(gate("test_r", rate(20, 1000, exhaustive=True), "<", 0.02)) == "2.00% (20 of 1 000) ≥ 2.00%"


def test_of_models_compared_example_by_example_the_values_are_shown() -> None:
    overlapping = gate("test_p", rate(15, 1000), "<=", rate(20, 1000, "baseline"))
    assert (
        comparison_text(replace(overlapping, outcome="pass")) == "1.50% (15 of 1 000) ≤ 2.00% of baseline (20 of 1 000)"
    )
    assert " > " in comparison_text(replace(overlapping, outcome="fail"))
    apart = gate("test_p", rate(1, 1000), "<=", rate(40, 1000, "baseline"))
    assert comparison_text(replace(apart, outcome="inconclusive")).startswith(
        "0.10% (1 of 1 000), bound 0.47% not shown ≤ bound "
    )


def test_a_gate_over_groups_says_that_copies_of_short_examples_were_not_looked_at() -> None:
    estimate = replace(rate(1, 1000), too_short_copies=16)
    shown = "0.10% (1 of 1 000; one too short to look at stands 16 times), bound 0.47% ≤ 1.00%"
    assert comparison_text(replace(PASSING, estimate=estimate)) == shown


def test_losses_are_in_nats_a_token() -> None:
    loss = Estimate("loss", "student", 1.9932, 1.9, 2.0, None, 500, unit="nats")
    assert (
        comparison_text(gate("test_l", loss, "<=", 2.1)) == "1.9932 (500 examples), bound 2.0000 ≤ 2.1000 nats a token"
    )


def test_a_gate_without_a_comparison_shows_its_outcome() -> None:
    assert comparison_text(BROKEN) == "error"
    assert comparison_text(replace(UNDECIDED, estimate=rate(0, 0), threshold=math.inf)) == "undefined (0 of 0)"


def test_what_was_too_short_is_told_of_a_part_and_once() -> None:
    whole = [
        replace(rate(k, 66, f"{who} on a", exhaustive=True), too_short=3)
        for k, who in ((0, "student"), (5, "baseline"))
    ]
    student, baseline = (replace(estimate, part="group", part_name="a") for estimate in whole)
    text = comparison_text(gate("test_g", student, "<=", baseline))
    assert text == "0.00% (0 of 66; 3 rows too short to be measured) ≤ 7.58% of baseline (5 of 66)"
    assert comparison_text(gate("test_g", whole[0], "<=", 0.01)) == "0.00% (0 of 66) ≤ 1.00%"


@pytest.mark.parametrize(
    ("k", "part", "name", "parts", "scope"),
    [
        (0, "group", "customer acme", 4, "worst of 4 groups, customer acme"),
        (9, "group", "customer acme", 4, "of 4 groups, customer acme"),
        (0, "group", "customer acme", 1, "worst of 1 group, customer acme"),
        (0, "group", "customer acme", 0, "customer acme"),
        (0, "copies", "16+ copies", 3, "worst of 3 tiers of copies, 16+ copies"),
    ],
)
def test_a_gate_over_parts_of_a_set_says_how_many_were_compared_and_which_is_the_worst(
    k: int, part: Any, name: str, parts: int, scope: str
) -> None:
    of_part = replace(rate(k, 66, f"student on {name}", exhaustive=True), part=part, part_name=name, parts=parts)
    of_baseline = replace(of_part, subject=f"baseline on {name}", parts=0)
    assert scope_text(gate("test_g", of_part, "<=", 0.01)) == scope
    assert comparison_text(gate("test_g", of_part, "<=", of_baseline)).endswith(f"of baseline ({k} of 66)")
    first_reports = replace(of_part, part_name="")
    assert scope_text(gate("test_g", first_reports, "<=", 0.01)) == scope


def test_further_parts_that_do_not_hold_stand_below_their_one_gate_in_every_report() -> None:
    parts = [
        replace(rate(k, 66, f"student on {name}", exhaustive=True), part="group", part_name=name, parts=9)
        for k, name in ((9, "customer acme"), (7, "customer beta"), (5, "customer gamma"))
    ]
    worst, *others = (Comparison(estimate, "<=", 0.01) for estimate in parts)
    failing = gate_from("test_g", "a.py::test_g", replace(worst, further=tuple(others), parts_not_held=5))
    assert scope_text(failing) == "5 of 9 groups, worst customer acme"
    lines = ["customer beta: 10.61% (7 of 66) > 1.00%", "customer gamma: 7.58% (5 of 66) > 1.00%", "and 2 more"]
    assert further_parts(failing) == lines
    assert further_parts(failing, 1) == [lines[0], "and 3 more"]
    assert further_parts(PASSING) == further_parts(BROKEN) == []
    audit = full_audit(gates=(failing, PASSING), not_run=())
    assert verdict_sentence(Report((audit,))) == "Do not ship: 1 of 2 gates did not pass"
    comment = render_audits(lambda report: render_comment(report, CommentContext(name="a")), audit)
    pages = [render_audits(module.render, audit) for module in (html, markdown, terminal, junit)]
    for page in (comment, *pages, github.workflow_commands(Report((audit,))).replace("%25", "%")):
        text = unescape(page).replace("\u00a0", " ").replace("\\", "")
        assert [line in text for line in lines] == [True] * 3
    [run] = json.loads(sarif.render(Report((audit,))))["runs"]
    [result] = run["results"]
    assert result["message"]["text"].splitlines()[1:4] == lines


def test_a_gate_under_a_sampler_names_it() -> None:
    sampled = replace(rate(0, 215, exhaustive=True), metric=f"{Draws(100, 0.5)}-extractable rate {GREEDY}")
    line = scoped_comparison(gate("test_s", sampled, "<=", 0.01))
    assert line == "(100, 0.5)-extractable by greedy decoding (generation_config.json): 0.00% (0 of 215) ≤ 1.00%"
    assert scoped_comparison(PASSING) == comparison_text(PASSING)
    assert scope_text(BROKEN) == ""


@pytest.mark.parametrize(
    ("part", "name", "parts", "measured"),
    [
        (None, "", 0, "memorization rate of student"),
        ("copies", "1 copy", 0, "memorization rate of student, examples that stand once"),
        ("copies", "4-15 copies", 0, "memorization rate of student, examples that stand 4-15 times"),
        ("copies", "4-15 copies", 3, "memorization rate of student, in each tier of copies"),
        ("group", "customer acme", 0, "memorization rate of student, examples of customer acme"),
        ("group", "customer acme", 2, "memorization rate of student, in each group"),
    ],
)
def test_every_page_says_of_a_passing_gate_what_was_measured_whatever_its_test_is_called(
    part: Any, name: str, parts: int, measured: str
) -> None:
    subject = f"student on {name}" if part else "student"
    estimate = replace(rate(0, 66, subject, exhaustive=True), part=part, part_name=name, parts=parts)
    passing = gate("test_teacher_secrets_stay", estimate, "<=", 0.01)
    assert measured_text(passing) == measured
    audit = full_audit(gates=(passing,), warnings=())
    assert f'<p class="measured"><bdi>{measured}</bdi></p>' in render_audits(html.render, audit).replace("\u00a0", " ")
    assert f"| teacher secrets stay<br><sub>{measured}</sub> |" in render_audits(markdown.render, audit)
    comment = render_audits(lambda report: render_comment(report, CommentContext(name="a")), audit)
    assert f"| teacher secrets stay<br><sub>{measured}</sub> |" in comment
    assert f"\n    {measured}\n" in render_audits(terminal.render, audit, verbosity=1)
    assert f"\n    {measured}\n" not in render_audits(terminal.render, audit)


def test_what_was_measured_names_the_metric_with_its_rate_of_false_positives() -> None:
    metric = "membership TPR at 1% FPR by loss"
    found = Estimate(metric, "student", 35 / 325, 0.08, 0.1538, 35, 325)
    passing = gate("test_membership", found, "<=", 0.2)
    assert measured_text(passing) == "membership TPR at 1% FPR by loss of student"
    assert comparison_text(passing) == "10.77% (35 of 325), bound 15.38% ≤ 20.00%"
    assert measured_text(BROKEN) == ""
    assert 'class="measured"' not in render_audits(html.render, full_audit(gates=(BROKEN,)))


@pytest.mark.parametrize("subject", ["student", "student on teacher set", "student on more.jsonl"])
def test_a_gate_over_another_set_names_it_in_every_report(subject: str) -> None:
    over = "" if " on " in subject else "control set"
    on_set = subject.partition(" on ")[2] or over
    estimate = replace(rate(3, 200, subject, exhaustive=True), set_name=over)
    passing, failing = (gate(f"test_{limit}", estimate, "<=", limit) for limit in (0.02, 0.01))
    measured = f"memorization rate of student on {on_set}"
    assert measured_text(passing) == measured_text(failing) == measured
    audit = full_audit(gates=(passing, failing), warnings=(), not_run=())
    comment = render_audits(lambda report: render_comment(report, CommentContext(name="a")), audit)
    for text in (*(render_audits(module.render, audit) for module in (html, markdown)), comment):
        assert text.replace("\u00a0", " ").count(measured) == 2  # once for each gate
    assert f" {on_set}: 1.50% (3 of 200) ≤ 2.00%" in render_audits(terminal.render, audit)
    verbose = render_audits(terminal.render, audit, verbosity=1)
    assert f"\n    {measured}\n" in verbose
    assert f"{on_set}: 1.50%" not in verbose


def test_a_limit_that_is_a_figure_over_another_set_names_it() -> None:
    on_controls = replace(rate(1, 100, "baseline", exhaustive=True), set_name="control set")
    own, same_set = (replace(rate(0, 100, exhaustive=True), set_name=over) for over in ("", "control set"))
    assert comparison_text(gate("test_a", own, "<=", on_controls)).endswith(
        "1.00% of baseline on control set (1 of 100)"
    )
    assert comparison_text(gate("test_a", same_set, "<=", on_controls)).endswith("1.00% of baseline (1 of 100)")
    failing = gate("test_a", replace(on_controls, subject="student"), "<=", own)
    assert failing.reason.startswith("memorization rate of student on control set 1.00%")


def test_one_error_stands_once_with_the_gates_that_it_stopped() -> None:
    names = ["test_nothing_new", "test_recites_less_than_before", "test_teacher_secrets_stay"]
    stopped = [replace(BROKEN, name=name, nodeid=f"a.py::{name}") for name in names]
    other = replace(BROKEN, name="test_other", reason="Another error.")
    gates = (*stopped[:2], PASSING, other, stopped[2])
    first, passing, alone = shown_gates(gates)
    assert first == ShownGate(stopped[0], ("nothing new", "recites less than before", "teacher secrets stay"))
    assert (first.title, passing, alone) == (
        "3 gates could not be evaluated", ShownGate(PASSING), ShownGate(other)
    )  # fmt: skip
    for module in (html, markdown, terminal):
        page = unescape(render_audits(module.render, full_audit(gates=gates, not_run=(), warnings=())))
        assert page.count(BROKEN.reason) == 1
        assert page.count("3 gates could not be evaluated") == 1
        assert [page.lower().count(title) for title in (*first.titles, "another error.")] == [1] * 4


def test_the_same_advice_stands_once() -> None:
    clean = "kdmem prefilter data --out=cleaned"
    first, second = (replace(FAILING, name=name, command=clean) for name in ("test_a", "test_b"))
    other = replace(second, command="pytest x")
    shown = without_repeated_advice([first, PASSING, second, other, PASSING])
    assert [gate.command for gate in shown] == [clean, PASSING.command, "", "pytest x", PASSING.command]
    assert shown[2] == replace(second, next_step="Advice as for gate “a”.", command="")
    assert [shown[index] for index in (0, 1, 3, 4)] == [first, PASSING, other, PASSING]


def test_the_title_of_a_gate_is_its_test_s_name_in_words() -> None:
    assert gate_title(FAILING) == "student recites little"
