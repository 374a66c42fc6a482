"""Reports have near-verbatim and specific rates where a test asked for them."""

from __future__ import annotations

from dataclasses import replace

from pytest_kdmem.auditing.figures.near_verbatim import near_verbatim_figures
from pytest_kdmem.auditing.figures.specific import specific_figures
from pytest_kdmem.specs.nearness import Nearness
from tests.auditing.test_build_result import EMPTY, SCORED, build
from tests.metrics.score_tables import row
from tests.metrics.test_near_verbatim import near_from
from tests.metrics.test_specific import CERTAIN, NEVER, specific_from

ROWS = [row("a", memorized=True), row("b", memorized=True), row("c"), row("d")]
NEAR = near_from([(True, False), (True, False), (True, False), (False, False)], ROWS)
SPECIFIC = specific_from(ROWS, {"a": [CERTAIN] * 3, "b": [NEVER] * 2})


def test_near_rates_stand_below_the_exact_one():
    scored = replace(SCORED, near_verbatim=(NEAR, replace(NEAR, nearness=Nearness(0.2, run=20))))
    figures = near_verbatim_figures(scored)
    assert [(figure.subject, figure.label, figure.estimate.k) for figure in figures] == [
        ("student", "exactly", 2),
        ("student", "within 0.1 edits a token", 3),
        ("student", "within 0.2 edits a token or 20 tokens in a row", 3),
    ]


def test_common_examples_stand_beside_easy_and_inherited_ones():
    figures = specific_figures(replace(SCORED, specific=(SPECIFIC,)))
    assert [(figure.label, figure.estimate.k, figure.estimate.n) for figure in figures] == [
        ("specific (100, 0.5)", 1, 4),
        ("common (100, 0.5), of what is recited", 1, 2),
        ("easy, of what is recited", 1, 2),
        ("inherited, of what is recited", 1, 2),
    ]
    assert figures[0].note == "The training set holds too few unrelated prefixes for 1 of the recited examples."
    alone = specific_figures(replace(SCORED, specific=(SPECIFIC,), inheritance=None))
    assert [figure.label for figure in alone] == [figure.label for figure in figures[:2]]


def test_they_are_in_the_record_and_only_where_they_were_asked_for():
    for scored in (SCORED, EMPTY):
        assert near_verbatim_figures(scored) == specific_figures(scored) == ()
    figures = build(replace(SCORED, near_verbatim=(NEAR,), specific=(SPECIFIC,))).figures
    assert {"near_verbatim", "specific"} <= {figure.family for figure in figures}
