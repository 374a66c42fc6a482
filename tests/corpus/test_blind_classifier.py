"""The classifier that sees no model: against scikit-learn's, and how often it is right that two sets differ."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics import roc_auc_score

from pytest_kdmem.corpus import blind_classifier
from pytest_kdmem.corpus.blind_classifier import FOLDS, RIDGE, blind_test


def topical(random: np.random.Generator, size: int, vocabulary: range = range(200)) -> list[np.ndarray]:
    """Examples of 30 to 59 tokens, each of one of 20 topics."""
    topics = np.random.default_rng(0).dirichlet(np.full(len(vocabulary), 0.1), 20)
    tokens = np.array(vocabulary, np.int32)
    return [
        random.choice(tokens, random.integers(30, 60), p=topics[random.integers(20)]).astype(np.int32)
        for _ in range(size)
    ]


def slow_products(examples: list[np.ndarray]) -> np.ndarray:
    """Inner products of presence or lack, weighted by rarity, a number at a time."""
    n, sets = len(examples), [set(example.tolist()) for example in examples]
    rows: list[dict[int, float]] = [{} for _ in sets]
    for number in set().union(*sets):
        holders = sum(number in each for each in sets)
        stands_out = [(number in each) == (holders <= n / 2) for each in sets]
        weight = math.log(n / max(min(holders, n - holders), 1))
        for row, is_marked in zip(rows, stands_out, strict=True):
            if is_marked:
                row[number] = weight
    norms = [math.sqrt(sum(weight**2 for weight in row.values())) for row in rows]
    return np.array(
        [
            [sum(a[key] * b[key] for key in a.keys() & b.keys()) / (na * nb) for b, nb in zip(rows, norms, strict=True)]
            for a, na in zip(rows, norms, strict=True)
        ]
    )


def test_products_are_those_of_a_loop_over_numbers() -> None:
    examples = topical(np.random.default_rng(1), 14, range(40))
    assert blind_classifier._products_of_presence(examples) == pytest.approx(slow_products(examples))


def test_area_is_that_of_scikit_learns_ridge_regression_over_the_same_folds() -> None:
    random = np.random.default_rng(2)
    first, second = topical(random, 30), topical(random, 30, range(10, 210))
    kernel = blind_classifier._similarity([*first, *second])
    labels, fold = np.repeat([1.0, -1.0], 30), np.tile(np.repeat(range(FOLDS), 30 // FOLDS), 2)
    scores = np.empty(60)
    for number in range(FOLDS):
        judged, fitted = fold == number, fold != number
        ridge = KernelRidge(alpha=RIDGE, kernel="precomputed").fit(kernel[np.ix_(fitted, fitted)], labels[fitted])
        predicted = ridge.predict(kernel[np.ix_(judged, fitted)])
        scores[judged] = predicted - predicted.mean()
    assert blind_test(first, second).auc == pytest.approx(roc_auc_score(labels, scores))


def test_two_draws_of_one_text_are_rarely_told_apart() -> None:
    random, draws = np.random.default_rng(3), 60
    p_values = []
    for _ in range(draws):
        drawn = topical(random, 80)
        p_values.append(blind_test(drawn[:40], drawn[40:]).p_value)
    for level, most in ((0.05, 10), (0.5, 45)):  # more happen in less than one of 1 000 runs
        assert np.less_equal(p_values, level).sum() <= most


def test_parts_of_one_document_that_lie_side_by_side_do_not_tell_of_each_other() -> None:
    random = np.random.default_rng(4)
    documents = [random.choice(2_000, 40) for _ in range(40)]
    parts = [[random.choice(document, 50).astype(np.int32) for _ in range(4)] for document in documents]
    first, second = ([part for document in half for part in document] for half in (parts[:20], parts[20:]))
    assert blind_test(first, second).p_value > 0.01
    mixed = [[side[at] for at in random.permutation(80)] for side in (first, second)]
    assert blind_test(*mixed).auc > 0.9, "in any other order the same parts give each other away"


@pytest.mark.parametrize("change", ["tokens", "order", "opening", "length", "a part of one set"])
def test_sets_that_differ_in_one_respect_are_told_apart(change: str) -> None:
    random = np.random.default_rng(5)
    first, second = topical(random, 150), topical(random, 150)
    match change:
        case "tokens":
            second = topical(random, 150, range(5, 205))
        case "order":
            second = [np.sort(ids) for ids in second]
        case "opening":
            second = [np.concatenate([ids[20:], ids[:20]]) for ids in first]
            first = [np.concatenate([[7], ids]).astype(np.int32) for ids in first]
            second = [np.concatenate([ids, [7]]).astype(np.int32) for ids in second]
        case "length":
            second = [ids[: len(ids) - 8] for ids in second]
        case _:
            second[::10] = [np.full(45, 7, np.int32) + np.arange(45, dtype=np.int32) % 2 for _ in second[::10]]
    outcome = blind_test(first, second)
    assert outcome.p_value <= 0.01, outcome
    assert outcome.examples == 150


def test_the_outcome_is_the_same_every_time() -> None:
    drawn = topical(np.random.default_rng(6), 60)
    assert blind_test(drawn[:30], drawn[30:]) == blind_test(drawn[:30], drawn[30:])
