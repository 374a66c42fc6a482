"""Which tokens of two readings are held against each other."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_kdmem.corpus.token_pairs import pair_by_origin, pair_shifted, pair_whole

IDS = np.arange(100, 140, dtype=np.int32)


def ids(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int32)


@pytest.mark.parametrize("before", [[], [1], [1, 2, 3], [7] * 8])
def test_tokens_behind_others_are_paired_with_themselves(before):
    otherwise = np.concatenate([ids(*before), IDS])
    pair = pair_shifted(0, IDS, otherwise, skip=4)
    assert pair is not None
    assert pair.as_read[:, 1].tolist() == list(range(4, 40))
    assert pair.otherwise[:, 1].tolist() == list(range(4 + len(before), 40 + len(before)))
    turned = pair_shifted(0, otherwise, IDS, skip=4)
    assert turned is not None
    assert turned.otherwise[:, 1].tolist() == list(range(4, 40))


def test_a_first_token_is_never_compared_because_nothing_predicts_it():
    pair = pair_shifted(0, IDS, IDS, skip=0)
    assert pair is not None
    assert pair.as_read[:, 1].min() == 1


def test_another_tokenization_is_not_paired_token_by_token():
    assert pair_shifted(0, IDS, IDS[::-1].copy(), skip=0) is None


def test_the_loss_of_one_text_is_divided_by_its_tokens_as_read():
    pair = pair_whole(0, IDS[:11], IDS[:21], same_text=True)
    assert pair is not None
    losses = [np.ones(21)]
    assert pair.losses(losses, losses) == (1.0, 2.0)


def test_the_mean_losses_of_rows_are_compared_where_they_are_not_one_text():
    pair = pair_whole(0, IDS[:11], IDS[:21], same_text=False)
    assert pair is not None
    assert pair.losses([np.full(11, 3.0)], [np.ones(21)]) == (3.0, 1.0)


def test_the_greatest_loss_is_that_of_the_compared_tokens():
    pair = pair_whole(0, IDS[:11], IDS[:21], same_text=False)
    assert pair is not None
    assert pair.greatest([np.arange(11.0)], [np.array([9.0, *np.ones(20)])]) == (10.0, 1.0)


def test_tokens_of_a_stream_are_paired_wherever_blocks_begin():
    as_read = [np.arange(0, 10), np.arange(10, 20)]
    otherwise = [np.array([-1, *range(0, 9)]), np.arange(9, 19)]
    first, second = pair_by_origin(as_read, otherwise, skip=2)
    assert [place.tolist() for place in first.as_read] == [[0, position] for position in range(2, 9)]
    assert [place.tolist() for place in first.otherwise] == [[0, position] for position in range(3, 10)]
    # Tokens 11 and 10 of the second block stand at the skipped start of one of the blocks.
    assert [place.tolist() for place in second.as_read] == [[1, position] for position in range(2, 9)]
    assert [place.tolist() for place in second.otherwise] == [[1, position] for position in range(3, 10)]
