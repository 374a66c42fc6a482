"""Scores of examples from values of positions, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pytest_kdmem.engines.transformers.reduction import Positions
from pytest_kdmem.engines.transformers.windows import (
    Places,
    WindowScores,
    first_misses,
    mean_of_least,
    summarize_margins,
    summarize_windows,
)
from pytest_kdmem.specs.declared import Extraction

# Prefix of 2, suffix of 2: values 1 and 2 of each row are those of the suffix.
EXTRACTION = Extraction(2, 2, 6)
MARGIN = torch.tensor([[-9.0, 3.0, 1.0, -9.0, -9.0], [9.0, 2.0, -0.5, 9.0, -99.0]])
LOGPROB = torch.tensor([[-1.0, -2.0, -3.0, -4.0, -5.0], [-1.0, -0.5, -0.25, -99.0, -99.0]])
STANDARDIZED = torch.tensor([[-3.0, 2.0, -1.0, 0.5, 1.0], [4.0, -2.0, 3.0, -99.0, -99.0]])
ENTROPY = torch.tensor([[9.0, 1.0, 2.0, 9.0, 9.0], [9.0, 0.5, 0.25, 9.0, 9.0]])


@pytest.mark.parametrize("rows", [[[0, 1]], [[1, 0]], [[1], [0]]], ids=str)
def test_margins_come_from_the_suffix_and_losses_from_the_example_alone_in_any_batches(rows):
    lengths = torch.tensor([6, 4])  # the second example ends with its suffix: its last two values are padding
    window_scores = WindowScores([6, 4])
    for batch in rows:
        positions = Positions(MARGIN[batch], LOGPROB[batch], ENTROPY[batch], STANDARDIZED[batch])
        broken = window_scores.fill(
            np.array(batch), summarize_windows(positions, Places(lengths[batch], None), EXTRACTION).numpy()
        )
        assert not broken.any()
    scores = window_scores.scores(tolerance=0.5)
    assert scores.margin.tolist() == [1.0, -0.5]
    assert scores.first_miss.tolist() == [-1, 1]
    assert scores.logprob.tolist() == [-5.0, -0.75]
    np.testing.assert_allclose(scores.nll, [15 / 5, 1.75 / 3], rtol=1e-6)
    assert scores.entropy.tolist() == [1.5, 0.375]
    assert scores.tolerance == 0.5
    assert [margins.tolist() for margins in scores.windows.margins] == [MARGIN[0].tolist(), MARGIN[1, :3].tolist()]
    assert scores.windows.unsure_within.tolist() == [0.5, 0.5]
    assert scores.windows.min_k.tolist() == [-5.0, -1.0], "one of five and one of three is the least fifth"
    assert scores.windows.min_k_plus.tolist() == [-3.0, -2.0]
    assert (scores.margin.dtype, scores.first_miss.dtype, scores.nll.dtype) == (np.float32, np.int16, np.float32)


def test_a_broken_logit_is_noticed_in_the_padding_too():
    logprob = LOGPROB.clone()
    logprob[1, 4] = torch.nan
    positions = Positions(MARGIN, logprob, ENTROPY, STANDARDIZED)
    summaries = summarize_windows(positions, Places(torch.tensor([6, 4]), None), EXTRACTION)
    assert WindowScores([6, 4]).fill(np.array([0, 1]), summaries.numpy()).tolist() == [False, True]
    assert summaries[1, 3] == pytest.approx(1.75 / 3), "and adds nothing to the loss"


def test_the_sums_of_a_long_window_are_those_of_float64():
    values = torch.rand((3, 4_000), generator=torch.Generator().manual_seed(0))
    summaries = summarize_windows(
        Positions(-values, -values, values, values),
        Places(torch.tensor([4_001] * 3), None),
        Extraction(1, 4_000, 4_001),
    )
    exact = values.double().numpy()
    np.testing.assert_allclose(summaries[:, 2], -exact.sum(axis=1), rtol=1e-14)
    np.testing.assert_allclose(summaries[:, 3:5], np.stack([exact.mean(axis=1)] * 2, axis=1), rtol=1e-14)


@pytest.mark.parametrize(("margins", "position"), [([1.0, 0.0, 2.0], -1), ([1.0, -0.1, -2.0], 1), ([-1.0], 0)], ids=str)
def test_the_first_negative_margin_is_the_first_miss_and_a_tie_is_a_hit(margins, position):
    assert first_misses(torch.tensor([margins, margins])).tolist() == [position] * 2
    assert summarize_margins(torch.tensor([margins])).tolist() == [[min(margins), position, 0.0]]


def test_the_first_of_many_misses_is_the_first():
    margins = torch.randn((200, 60), generator=torch.Generator().manual_seed(0))
    assert first_misses(margins).tolist() == [next(at for at, value in enumerate(row) if value < 0) for row in margins]


@pytest.mark.parametrize("starts", [None, [1, 30]], ids=["whole windows", "answers"])
def test_the_mean_of_the_least_fifth_is_that_of_a_sort(starts):
    values, lengths = torch.randn((2, 60), generator=torch.Generator().manual_seed(0)), [61, 44]
    places = Places(torch.tensor(lengths), None if starts is None else torch.tensor(starts))
    for row, mean in enumerate(mean_of_least(values, places).tolist()):
        first = 0 if starts is None else starts[row] - 1
        ascending = sorted(values[row, first : lengths[row] - 1].tolist())
        count = max(1, int(len(ascending) * 0.2))
        assert mean == pytest.approx(sum(ascending[:count]) / count, rel=1e-6)
