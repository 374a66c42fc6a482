"""Reports have the curve of each model of which all metrics were scored."""

from __future__ import annotations

from dataclasses import replace

from pytest_kdmem.auditing.figures.context import context_figures
from tests.auditing.test_build_result import EMPTY, SCORED, build
from tests.metrics.score_tables import memorization_from, row
from tests.metrics.test_context import ROWS, memorization


def test_each_model_has_the_rates_of_its_curve_and_its_longest_run() -> None:
    scored = replace(SCORED, memorizations={"student": memorization(), "baseline": memorization_from([row("a")])})
    figures = context_figures(scored)
    assert [figure.key for figure in figures] == [
        ("context", "student", "first 10 tokens"),
        ("context", "student", "first 25 tokens"),
        ("context", "student", "longest run"),
    ]
    assert [figure.estimate.k for figure in figures] == [2, 2, None]
    assert not any(figure.note for figure in figures)
    alone = build(replace(SCORED, memorizations={"student": memorization()}))
    assert {figure.key for figure in figures} <= {figure.key for figure in alone.figures}


def test_a_sample_says_that_it_bounds_no_run_and_verdicts_alone_have_no_figure() -> None:
    sampled = replace(SCORED, memorizations={"student": memorization(ROWS[1:], exhaustive=False)})
    assert "A sample gives no bound" in context_figures(sampled)[-1].note
    assert context_figures(EMPTY) == ()
    assert context_figures(replace(SCORED, memorizations={"student": memorization_from([row("a")])})) == ()
