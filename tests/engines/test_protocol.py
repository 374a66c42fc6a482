"""Verdicts and ambiguity that follow from scores, and token ids that no model of the vocabulary has."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.engines.protocol import Scores, check_ids
from pytest_kdmem.errors import EngineError


def scores_of(margins: list[float], misses: list[int], tolerance: float) -> Scores:
    unknown = np.full(len(margins), np.nan, dtype=np.float32)
    return Scores(
        np.array(margins, dtype=np.float32), np.array(misses, dtype=np.int16), unknown, unknown, unknown, tolerance
    )


def test_what_never_misses_is_memorized_and_what_lies_within_the_tolerance_is_ambiguous():
    scores = scores_of([1.0, 0.25, 0.0, -0.25, -1.0, np.nan], [-1, -1, -1, 7, 0, 0], 0.25)
    assert scores.memorized.tolist() == [True, True, True, False, False, False]
    assert scores.ambiguous.tolist() == [False, True, True, True, False, False]


@pytest.mark.parametrize(("token", "accepted"), [(-1, False), (0, True), (9, True), (10, False)])
def test_ids_outside_the_vocabulary_are_refused_with_their_example(token, accepted):
    examples = [Example(5, np.array([1, 2], dtype=np.int32)), Example(6, np.array([3, token], dtype=np.int32))]
    if accepted:
        check_ids(examples, 10, "mine")
        return
    with pytest.raises(EngineError, match=rf"from 0 to below 10 .* model mine, and example 6 holds {token}:"):
        check_ids(examples, 10, "mine")
