"""The standardised regression, the sample that it is fitted to, and the correction for that sample."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_info

from pytest_kdmem.errors import DataError
from pytest_kdmem.risk.classifier import check_classes, draw_rows, fit_classifier, on_one_thread, sampling_offset


def test_log_odds_are_those_of_scikit_learn():
    rng = np.random.default_rng(1)
    features = rng.normal(size=(500, 3)) * [1, 100, 0.01] + [5, 0, 3]
    labels = features[:, 0] + rng.normal(size=500) > 5
    scaler = StandardScaler().fit(features)
    reference = LogisticRegression().fit(scaler.transform(features), labels)
    expected = reference.decision_function(scaler.transform(features))
    assert fit_classifier(features, labels).log_odds(features) == pytest.approx(expected)


def test_three_negatives_are_drawn_for_each_positive_and_anew_with_each_seed():
    labels = np.arange(1000) < 50
    first, second = (draw_rows(labels, np.random.default_rng(seed)) for seed in (0, 1))
    assert len(first) == len(set(first.tolist())) == 200
    assert first[:50].tolist() == list(range(50))
    assert set(first.tolist()) != set(second.tolist())


def test_few_negatives_are_all_taken_and_nothing_is_corrected():
    labels = np.arange(100) < 60
    assert sorted(draw_rows(labels, np.random.default_rng(0)).tolist()) == list(range(100))
    assert sampling_offset(labels) == 0


def test_the_correction_for_sampling_gives_the_log_odds_of_a_fit_to_all_examples():
    rng = np.random.default_rng(5)
    values = rng.normal(size=(60_000, 1))
    labels = rng.random(60_000) < 1 / (1 + np.exp(6 - 1.5 * values[:, 0]))
    rows = draw_rows(labels, rng)
    whole, sample = fit_classifier(values, labels), fit_classifier(values[rows], labels[rows])
    points = np.array([[-1.0], [0.0], [2.0]])
    assert sample.log_odds(points) + sampling_offset(labels) == pytest.approx(whole.log_odds(points), abs=0.35)


@pytest.mark.parametrize(
    ("positives", "message"),
    [
        (0, "At least 10 memorized examples are needed to learn what is at risk; found 0 of 100, by a student"),
        (9, "found 9 of 100, by a student: label by a model that memorizes more .--labels-from STUDENT"),
        (91, "At least 10 examples that are not memorized are needed .* found 9 of 100"),
        (100, "found 0 of 100, by a student: a classifier cannot be fitted to one class alone"),
    ],
)
def test_too_few_examples_of_either_class_are_refused(positives, message):
    with pytest.raises(DataError, match=message):
        check_classes(np.arange(100) < positives, "a student")


def test_ten_examples_of_either_class_are_enough():
    check_classes(np.arange(20) < 10, "a student")


def test_a_limited_function_runs_on_one_thread():
    def threads() -> list[int]:
        return [library["num_threads"] for library in threadpool_info()]

    assert set(on_one_thread(threads)()) == {1}
