"""Distinct examples of one model, and figures that know where they come from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pytest_kdmem.errors import SpecError
from pytest_kdmem.metrics.bounds import Counts, upper_bound
from tests.metrics.score_tables import memorization_from, row, too_short

ROWS = [too_short("s"), row("b", nll=1.0), row("a", nll=2.0), row("b", nll=1.5), row("c", nll=3.0)]


def test_examples_are_named_and_read_at_their_first_copy() -> None:
    examples = memorization_from(ROWS)
    assert examples.example_ids.tolist() == [1, 2, 4]
    assert (examples.duplicates, examples.too_short) == (1, 1)
    assert examples.column("nll").tolist() == [1.0, 2.0, 3.0]
    assert examples.column("nll").dtype == np.float64


def test_a_column_that_was_not_scored_is_refused_with_the_way_out() -> None:
    for name in ("nll", "min_k"):
        with pytest.raises(SpecError, match=rf'Column {name} was expected of student, .* metrics="all"'):
            memorization_from([row("a")]).column(name)


@pytest.mark.parametrize("exhaustive", [True, False])
def test_a_proportion_says_of_which_model_and_over_what(exhaustive: bool) -> None:
    examples = replace(memorization_from(ROWS, exhaustive=exhaustive), other_set="wiki", confidence=0.9)
    estimate = examples.proportion("some rate", Counts(1, 3))
    assert (estimate.metric, estimate.subject, estimate.too_short) == ("some rate", "student on wiki", 1)
    assert estimate.model_digest == "digest of student"
    assert (estimate.exhaustive, estimate.confidence) == (exhaustive, 0.9)
    assert estimate.high == (1 / 3 if exhaustive else upper_bound(1, 3, 0.9))
