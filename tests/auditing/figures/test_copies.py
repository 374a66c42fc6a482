"""Reports have rates by copies of the audit's own set, and of no other."""

from __future__ import annotations

from dataclasses import replace

from pytest_kdmem.auditing.figures.copies import copies_figures
from pytest_kdmem.auditing.figures.gather import gather_figures
from tests.auditing.test_build_result import EMPTY, SCORED, build
from tests.metrics.score_tables import memorization_from, row

TWICE = memorization_from([row("a", memorized=True), row("b"), row("a", memorized=True), row("c")])
ELSEWHERE = replace(TWICE, other_set="other.jsonl")


def test_each_model_has_a_figure_for_each_tier() -> None:
    scored = replace(SCORED, memorizations={"student": TWICE, ELSEWHERE.label: ELSEWHERE})
    figures = copies_figures(scored)
    assert [figure.key for figure in figures] == [("copies", "student", "1"), ("copies", "student", "2-3")]
    assert [(figure.estimate.k, figure.estimate.n) for figure in figures] == [(0, 2), (1, 1)]
    assert [figure.key for figure in build(scored).figures] == [figure.key for figure in gather_figures(scored)]


def test_a_sample_says_how_its_bounds_hold_and_which_tiers_it_lacks() -> None:
    sampled = memorization_from([row("a"), row("b")], exhaustive=False)
    copied = replace(sampled, scores=replace(sampled.scores, record=replace(sampled.scores.record, copies=((0, 7),))))
    figures = copies_figures(replace(SCORED, memorizations={"student": copied}))
    assert [(figure.label, figure.estimate.n) for figure in figures] == [("1", 1), ("2-3", 1), ("4-15", 0), ("16+", 0)]
    assert figures[0].note.startswith("a random sample, in which 2 of 4 tiers have an example; all bounds")


def test_a_set_of_one_tier_a_sample_of_one_and_an_audit_without_scores_have_none() -> None:
    sampled = memorization_from([row("a"), row("b")], exhaustive=False)
    for scored in (SCORED, EMPTY, replace(SCORED, memorizations={"student": sampled})):
        assert copies_figures(scored) == ()
