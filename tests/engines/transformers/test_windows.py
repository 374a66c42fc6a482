"""Scores of examples from values of positions, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.engines.transformers.reduction import Positions
from pytest_kdmem.engines.transformers.windows import WindowScores, first_miss
from pytest_kdmem.specs.declared import Extraction

# Prefix of 2, suffix of 2: values 1 and 2 of each row are those of the suffix.
EXTRACTION = Extraction(2, 2, 6)
MARGIN = torch.tensor([[-9.0, 3.0, 1.0, -9.0, -9.0], [9.0, 2.0, -0.5, 9.0, -99.0]])
LOGPROB = torch.tensor([[-1.0, -2.0, -3.0, -4.0, -5.0], [-1.0, -0.5, -0.25, -99.0, -99.0]])
ENTROPY = torch.tensor([[9.0, 1.0, 2.0, 9.0, 9.0], [9.0, 0.5, 0.25, 9.0, 9.0]])


@pytest.mark.parametrize("rows", [[[0, 1]], [[1, 0]], [[1], [0]]], ids=str)
def test_margins_come_from_the_suffix_and_losses_from_the_example_alone_in_any_batches(rows):
    lengths = (6, 4)  # the second example ends with its suffix: its last two values are padding
    examples = [Example(position, np.zeros(length, dtype=np.int32)) for position, length in enumerate(lengths)]
    window_scores = WindowScores(examples, EXTRACTION)
    for batch in rows:
        window_scores.fill(batch, Positions(MARGIN[batch], LOGPROB[batch], ENTROPY[batch]))
    scores = window_scores.scores(tolerance=0.5)
    assert scores.margin.tolist() == [1.0, -0.5]
    assert scores.first_miss.tolist() == [-1, 1]
    assert scores.logprob.tolist() == [-5.0, -0.75]
    np.testing.assert_allclose(scores.nll, [15 / 5, 1.75 / 3], rtol=1e-6)
    assert scores.entropy.tolist() == [1.5, 0.375]
    assert scores.tolerance == 0.5
    assert [window_scores.predicted_tokens(row) for row in (0, 1)] == [5, 3]


@pytest.mark.parametrize(("margins", "position"), [([1.0, 0.0, 2.0], -1), ([1.0, -0.1, -2.0], 1), ([-1.0], 0)], ids=str)
def test_the_first_negative_margin_is_the_first_miss_and_a_tie_is_a_hit(margins, position):
    assert first_miss(torch.tensor(margins)) == position
