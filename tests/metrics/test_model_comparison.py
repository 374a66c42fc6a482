"""What models recite is compared example by example with the first, against sets and scipy's own tests."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binomtest

from pytest_kdmem.errors import SpecError
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.metrics.model_comparison import compare_models, holm
from tests.metrics.score_tables import memorization_from, row

N = 60


def model(name: str, recited: set[int], ambiguous: set[int] = frozenset(), **settings: str) -> Memorization:  # type: ignore[assignment]
    rows = [row(str(index), memorized=index in recited, ambiguous=index in ambiguous) for index in range(N)]
    return memorization_from(rows, subject=name, **settings)  # type: ignore[arg-type]


def random_set(seed: int, share: float) -> set[int]:
    return set(np.flatnonzero(np.random.default_rng(seed).random(N) < share).tolist())


def test_each_model_is_compared_with_the_first_as_sets_are() -> None:
    first, *others = [random_set(seed, share) for seed, share in ((0, 0.5), (1, 0.5), (2, 0.2), (3, 0.9))]
    differences = compare_models(
        [model("full", first), *(model(f"m{place}", recited) for place, recited in enumerate(others))]
    )
    p_values = [binomtest(len(first - other), len(first ^ other)).pvalue for other in others]
    for difference, other, p_value in zip(differences, others, p_values, strict=True):
        assert (set(difference.lost), set(difference.gained)) == (first - other, other - first)
        assert (difference.both, difference.most_lost, difference.most_gained) == (
            len(first & other), len(first - other), len(other - first),
        )  # fmt: skip
        assert difference.overlap == pytest.approx(len(first & other) / len(first | other))
        assert difference.p_value == pytest.approx(p_value)
    smallest = min(p_values)
    assert min(difference.adjusted_p_value for difference in differences) == pytest.approx(min(1.0, 3 * smallest))


def test_ambiguous_verdicts_count_as_gained_and_as_lost() -> None:
    [difference] = compare_models([model("full", {0, 1}, {1, 2}), model("small", {0}, {3})])
    assert (difference.lost, difference.most_lost) == ((1,), 2)  # 1, and 2 if it is recited after all
    assert (difference.gained, difference.most_gained) == ((), 1)  # 3, if it is


def test_models_that_recite_nothing_have_no_overlap() -> None:
    [difference] = compare_models([model("full", set()), model("small", set())])
    assert math.isnan(difference.overlap)
    assert (difference.p_value, difference.adjusted_p_value) == (1.0, 1.0)


def test_models_of_other_tokenizers_or_examples_are_refused() -> None:
    with pytest.raises(SpecError, match="The same tokenizer was expected of full"):
        compare_models([model("full", {1}), model("small", {1}, tokenizer="other")])
    with pytest.raises(SpecError, match="The same examples were expected of full and small"):
        compare_models([model("full", {1}), model("small", {1}, shards=("other",))])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("p_values", "adjusted"),
    [
        ([], []),
        ([0.03], [0.03]),
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),  # 4 × 0.005, 3 × 0.01, 2 × 0.03, and no less than before
        ([0.9, 0.6], [1.0, 1.0]),
        ([0.02, 0.02], [0.04, 0.04]),
    ],
)
def test_p_values_are_corrected_step_by_step(p_values: list[float], adjusted: list[float]) -> None:
    assert holm(p_values) == pytest.approx(adjusted)
