"""Reports have specific rates where a test asked for them, with the shares of inheritance beside."""

from __future__ import annotations

from dataclasses import replace

from pytest_kdmem.auditing.figures.specific import specific_figures
from tests.auditing.test_build_result import EMPTY, SCORED, build
from tests.metrics.score_tables import row
from tests.metrics.test_specific import CERTAIN, NEVER, specific_from

ROWS = [row("a", memorized=True), row("b", memorized=True), row("c"), row("d")]
SPECIFIC = specific_from(ROWS, {"a": [CERTAIN] * 3, "b": [NEVER] * 2})


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
    assert specific_figures(SCORED) == specific_figures(EMPTY) == ()
    figures = build(replace(SCORED, specific=(SPECIFIC,))).figures
    assert "specific" in {figure.family for figure in figures}
