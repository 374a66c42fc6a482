"""What was asked of a model before is not run again, and what cannot be measured is refused before a model runs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pytest_kdmem.auditing.runs_beside import RunsBeside
from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.nearness import Nearness
from tests.auditing.figures.test_near_verbatim import NEAR
from tests.auditing.figures.test_specific import SPECIFIC

NO_SCORER: Any = None  # with which no model could be run


def test_what_was_decoded_before_is_returned_for_the_same_scores_and_nearness() -> None:
    wider = replace(NEAR, nearness=Nearness(0.2))
    beside = RunsBeside(NO_SCORER, near=[NEAR, wider])
    assert beside.near_verbatim(NEAR.memorization, Nearness()) is NEAR
    assert beside.near_verbatim(replace(NEAR.memorization, subject="teacher"), Nearness(0.2)) is wider
    with pytest.raises(AttributeError):  # it is run: there is no scorer
        beside.near_verbatim(NEAR.memorization, Nearness(0.3))
    assert beside.near == [NEAR, wider]


def test_what_was_scored_before_is_returned_for_the_same_scores_and_likelihood() -> None:
    beside = RunsBeside(NO_SCORER, specific=[SPECIFIC])
    assert beside.specific_memorization(SPECIFIC.memorization, n=SPECIFIC.n, p=SPECIFIC.p) is SPECIFIC
    other = replace(SPECIFIC.memorization, scores=replace(SPECIFIC.memorization.scores))
    for memorization, n in ((SPECIFIC.memorization, SPECIFIC.n + 1), (other, SPECIFIC.n)):
        with pytest.raises(AttributeError):
            beside.specific_memorization(memorization, n=n, p=SPECIFIC.p)


@pytest.mark.parametrize(("n", "p"), [(0, 0.5), (10, 0.0), (10, 1.0)])
def test_no_draws_and_no_likelihood_are_refused_before_a_model_runs(n: int, p: float) -> None:
    with pytest.raises(SpecError, match="n ≥ 1"):
        RunsBeside(NO_SCORER).specific_memorization(SPECIFIC.memorization, n=n, p=p)
