"""Tell two sets of examples apart by their token ids alone, without any model that learned one of them.

Where that succeeds, an attack on membership finds the difference of the texts, whatever a model learned: of eight
published benchmarks each was won by such a classifier (Das, Zhang and Tramèr 2024, “Blind Baselines Beat Membership
Inference Attacks for Foundation Models”; Meeus et al. 2024, “SoK: Membership Inference Attacks on LLMs are Rushing
Nowhere”). Here it is ridge regression on the presence of tokens, of pairs of tokens and of the opening tokens, weighted
by their rarity, and on the length. Each example is judged by a fit to other examples.

Whether it succeeds is decided by a permutation test, which is exact: the labels are permuted, and everything that used
labels is computed again (Golland and Fischl 2003; Kim, Ramdas, Singh and Wasserman 2021). That costs little, as the
predictions of ridge regression are linear in the labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pytest_kdmem.base.arrays import TokenIds

FOLDS = 5
PERMUTATIONS = 999
OPENING_TOKENS = 4
RIDGE = 0.3
# Share of the most extreme scores at either end in which one set may stand out while the mean rank shows nothing.
EXTREME_SHARE = 0.05
# Names of features are hashed to so many numbers.
BUCKETS = 1 << 20
SEED = 0

# What a stored result depends on beside the examples.
PROTOCOL = [1, FOLDS, PERMUTATIONS, OPENING_TOKENS, RIDGE, EXTREME_SHARE, BUCKETS, SEED]

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class BlindTest:
    """How well two sets of examples are told apart without a model.

    Attributes:
        auc: Area under the curve of the classifier over examples that it was not fitted to.
        p_value: Probability of so great a success if both sets were drawn at random from the same examples.
        examples: Number of examples of each set.

    Raises:
        ValueError: A number is out of its range.
    """

    auc: float
    p_value: float
    examples: int

    def __post_init__(self) -> None:
        if not (0 <= self.auc <= 1 and 0 <= self.p_value <= 1 and self.examples >= 1):
            raise ValueError("an area and a probability between 0 and 1 of at least one example were expected")


def blind_test(first: Sequence[TokenIds], second: Sequence[TokenIds]) -> BlindTest:
    """Test whether two sets of distinct examples are exchangeable.

    Examples that follow each other in their set are judged by the same fit, so that parts of one document, which may
    lie side by side, do not tell of each other.

    Args:
        first, second: Token ids of as many examples of either set, in the order of the sets, at least `FOLDS`.
    """
    from scipy.linalg import cho_factor, cho_solve

    n = len(first)
    similarity = _similarity([*first, *second])
    fold = np.tile(np.arange(n) * FOLDS // n, 2)
    labels = _permuted_labels(np.repeat([1.0, -1.0], n), fold)
    scores = np.empty_like(labels)
    for number in range(FOLDS):
        judged, fitted = fold == number, fold != number
        kernel = similarity[np.ix_(fitted, fitted)] + RIDGE * np.eye(int(fitted.sum()))
        weights = cho_solve(cho_factor(kernel), similarity[np.ix_(fitted, judged)])
        scores[judged] = weights.T @ labels[fitted]
        scores[judged] -= scores[judged].mean(axis=0)
    successes = _successes(scores, labels)
    deviations = successes.std(axis=1, keepdims=True)
    standardised = (successes - successes.mean(axis=1, keepdims=True)) / np.where(deviations > 0, deviations, 1.0)
    greatest = standardised.max(axis=0)
    p_value = float((greatest >= greatest[0] - 1e-9).mean())  # the labels as they are, are one of the permutations
    return BlindTest(float(successes[0, 0]), p_value, n)


def _permuted_labels(labels: Matrix, fold: npt.NDArray[np.int64]) -> Matrix:
    """Return labels ``[2n, 1 + permutations]``: as they are, and permuted within each fold."""
    random = np.random.default_rng(SEED)
    permuted = np.tile(labels[:, None], 1 + PERMUTATIONS)
    for number in range(FOLDS):
        rows = np.flatnonzero(fold == number)
        permuted[np.ix_(rows, np.arange(1, 1 + PERMUTATIONS))] = random.permuted(permuted[rows, 1:], axis=0)
    return permuted


def _successes(scores: Matrix, labels: Matrix) -> Matrix:
    """Return three measures of success ``[3, permutations]``: the area under the curve, and how much more often one set
    stands at the upper end of the scores, and the other at the lower.
    """
    examples = len(scores)
    ascending = np.take_along_axis(labels, np.argsort(scores, axis=0, kind="stable"), axis=0)
    n, extreme = examples // 2, max(1, round(EXTREME_SHARE * examples))
    rank_sum = (ascending > 0).T @ np.arange(1.0, examples + 1)
    area = (rank_sum - n * (n + 1) / 2) / n**2
    return np.stack([area, ascending[-extreme:].mean(axis=0), -ascending[:extreme].mean(axis=0)])


def _similarity(examples: Sequence[TokenIds]) -> Matrix:
    """Return the inner products ``[2n, 2n]`` of the features of all examples, the mean of four kinds."""
    openings = [ids[:OPENING_TOKENS] * OPENING_TOKENS + np.arange(len(ids[:OPENING_TOKENS])) for ids in examples]
    products = [_products_of_presence(kind) for kind in (examples, list(map(_pairs, examples)), openings)]
    lengths = np.log([len(ids) for ids in examples])
    deviation = float(lengths.std())
    standardised = (lengths - lengths.mean()) / deviation if deviation else lengths * 0
    products.append(np.outer(standardised, standardised))
    centred = np.eye(len(examples)) - 1 / len(examples)
    mean: Matrix = centred @ (sum(products) / len(products)) @ centred
    return mean


def _pairs(ids: TokenIds) -> npt.NDArray[np.int64]:
    """Return a number for each pair of neighbours."""
    wide = ids.astype(np.int64)
    return wide[:-1] * 1_000_003 + wide[1:]


def _products_of_presence(examples: Sequence[npt.NDArray[np.integer]]) -> Matrix:
    """Return the inner products of which numbers an example holds, each weighted by its rarity; rows have length 1.

    Where most examples hold a number, the others stand out by lacking it.
    """
    from scipy.sparse import csr_array

    held = [np.unique(np.asarray(numbers, np.int64) % BUCKETS) for numbers in examples]
    starts = np.concatenate([[0], np.cumsum([len(numbers) for numbers in held])])
    numbers = np.unique(np.concatenate(held), return_inverse=True)[1]
    presence = csr_array((np.ones(len(numbers)), numbers, starts))
    n, holders = len(examples), np.bincount(numbers)
    is_common = holders > n / 2
    rare = presence[:, ~is_common].multiply(np.log(n / holders[~is_common])).tocsr()
    common = (1 - presence[:, is_common].toarray()) * np.log(n / np.maximum(n - holders[is_common], 1))
    products: Matrix = (rare @ rare.T).toarray() + common @ common.T
    lengths = np.sqrt(np.maximum(np.diag(products), 1e-12))
    return np.asarray(products / np.outer(lengths, lengths))
