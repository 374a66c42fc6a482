"""What is fitted: a predictor with its uncertainty, its range and its assessment."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_kdmem.errors import DataError
from pytest_kdmem.risk.fitting import fit_predictor
from pytest_kdmem.risk.labels import Labels, labels_from_both_models
from pytest_kdmem.risk.predictor_file import predictor_digest


def test_a_fitted_predictor_is_assessed_on_held_out_examples(fitted):
    assert fitted.brier < fitted.brier_of_chance == pytest.approx(0.04 * 0.96)
    assert sum(reliability_bin.n for reliability_bin in fitted.predictor.reliability) == 2000
    assert fitted.predictor.quality["roc_auc"][0] == fitted.assessment.roc_auc.mean > 0.95


def test_a_fitted_predictor_records_what_it_was_fitted_to(predictor, features):
    assert (predictor.examples, predictor.positives, predictor.labels) == (2000, 80, "teacher and baseline")
    assert predictor.features == features.names
    assert predictor.source == features.source
    assert (predictor.lowest == features.values.min(axis=0)).all()
    assert (predictor.highest == features.values.max(axis=0)).all()
    assert predictor.refits.shape == (100, 5)
    assert (np.diff(predictor.recall_log_odds) >= 0).all()


def test_coefficients_are_the_mean_of_the_refits_up_to_the_calibration(predictor):
    """Calibration scales all coefficients of a fit alike, so their proportions are those of the refits."""
    refits = predictor.refits[:, 1:] / np.linalg.norm(predictor.refits[:, 1:], axis=1, keepdims=True)
    direction = predictor.coefficients / np.linalg.norm(predictor.coefficients)
    assert (refits @ direction).mean() > 0.95
    assert refits.std(axis=0).max() > 0


def test_equal_seeds_give_equal_predictors_and_different_seeds_do_not(features, quick_fits):
    labels = labels_from_both_models(features)
    first, again, different = (fit_predictor(features, labels, seed=seed).predictor for seed in (1, 1, 2))
    assert predictor_digest(first) == predictor_digest(again) != predictor_digest(different)


def test_labels_of_one_class_are_refused(features):
    with pytest.raises(DataError, match="At least 10 memorized examples"):
        fit_predictor(features, Labels(np.zeros(2000, bool), "a student", ""))
