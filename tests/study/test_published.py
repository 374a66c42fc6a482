"""The published figures agree with each other."""

from __future__ import annotations

import math

import pytest

from pytest_kdmem.study import published as paper


def test_published_figures_agree_with_each_other():
    # The study rounds: each quotient of published counts or rates is the published figure to its last digit or so.
    for setting, reduction in paper.REDUCTIONS.items():
        of = paper.RATES[setting]
        assert of["baseline"] / of["soft"] == pytest.approx(reduction, rel=0.05)
    main = paper.PYTHIA_FINEWEB
    assert round(paper.EASY[main] / paper.STUDENT_MEMORIZED[main], 3) in (0.957, 0.958)
    assert round(paper.INHERITED[main] / paper.TEACHER_ONLY[main], 3) == paper.INHERITED_RATIOS[main]
    assert paper.HARD_INHERITED[main] / paper.INHERITED[main] == pytest.approx(2.7, abs=0.1)
    for role, loss in paper.LOSSES[main].items():
        assert math.exp(loss) == pytest.approx(paper.PERPLEXITIES[main][role], rel=0.01)
