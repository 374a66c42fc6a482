"""Reports have near-verbatim rates where a test asked for them."""

from __future__ import annotations

from dataclasses import replace

from pytest_kdmem.auditing.figures.near_verbatim import near_verbatim_figures
from pytest_kdmem.specs.nearness import Nearness
from tests.auditing.test_build_result import EMPTY, SCORED, build
from tests.metrics.score_tables import row
from tests.metrics.test_near_verbatim import near_from

ROWS = [row("a", memorized=True), row("b", memorized=True), row("c"), row("d")]
NEAR = near_from([(True, False), (True, False), (True, False), (False, False)], ROWS)


def test_near_rates_stand_below_the_exact_one():
    scored = replace(SCORED, near_verbatim=(NEAR, replace(NEAR, nearness=Nearness(0.2, run=20))))
    figures = near_verbatim_figures(scored)
    assert [(figure.subject, figure.label, figure.estimate.k) for figure in figures] == [
        ("student", "exactly", 2),
        ("student", "within 0.1 edits a token", 3),
        ("student", "within 0.2 edits a token or 20 tokens in a row", 3),
    ]


def test_they_are_in_the_record_and_only_where_they_were_asked_for():
    assert near_verbatim_figures(SCORED) == near_verbatim_figures(EMPTY) == ()
    assert build(replace(EMPTY, memorizations={"student": NEAR.memorization})).examples.example_id == (0, 1)
    near = build(replace(EMPTY, memorizations={"student": NEAR.memorization}, near_verbatim=(NEAR,))).examples
    assert (near.example_id, near.models["student"].memorized) == ((0, 1, 2), (1, 1, 0))
    assert build(replace(SCORED, near_verbatim=(NEAR,))).examples == build(SCORED).examples  # of other scores
    figures = build(replace(SCORED, near_verbatim=(NEAR,))).figures
    assert [figure.label for figure in figures if figure.family == "near_verbatim"] == [
        "exactly",
        "within 0.1 edits a token",
    ]
