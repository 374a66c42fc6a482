"""A predictor gives risks of features, and says where it cannot."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pytest_kdmem.errors import SpecError
from pytest_kdmem.risk.features import extract_features
from pytest_kdmem.risk.predicted import apply_predictor
from pytest_kdmem.specs.declared import Extraction
from tests.risk.score_pairs import make_pair


def features_with_outliers(outliers: int):
    """Features of 2000 examples, the last of which have more zlib bytes than the predictor ever saw."""
    zlib_bytes = np.full(2000, 400)
    zlib_bytes[2000 - outliers :] = 10_000
    return extract_features(make_pair(2000, 80, zlib_bytes=zlib_bytes))


def test_log_odds_are_linear_in_standardised_features(predictor, features):
    standardised = (features.values - predictor.mean) / predictor.scale
    expected = standardised @ predictor.coefficients + predictor.intercept
    assert predictor.log_odds(features.values) == pytest.approx(expected)
    assert predictor.log_odds(features.values[:0]).shape == (0,)


def test_refits_have_their_own_coefficients_and_limits(predictor, features):
    risks = np.concatenate(list(predictor.refit_risks(features.values[:50])))
    assert risks.shape == (50, 100)
    standardised = (features.values[:50] - predictor.mean) / predictor.scale
    log_odds = standardised @ predictor.refits[7, 1:] + predictor.refits[7, 0]
    least, greatest = predictor.refit_bounds[7]
    assert risks[:, 7] == pytest.approx(least + (greatest - least) / (1 + np.exp(-log_odds)))


def test_the_log_odds_of_a_risk_give_that_risk(predictor):
    bounded = replace(predictor, least=0.01, greatest=0.9)
    for risk in (0.02, 0.3, 0.89):
        assert bounded.risk(np.array([bounded.log_odds_for_risk(risk)])) == pytest.approx([risk])
    assert bounded.log_odds_for_risk(0.005) == -np.inf
    assert bounded.log_odds_for_risk(0.95) == np.inf


def test_log_odds_for_a_recall_have_at_least_that_recall(predictor):
    for recall in (0.5, 0.9, 0.95, 1.0):
        assert predictor.recall_at(predictor.log_odds_for_recall(recall)) >= recall
    assert predictor.log_odds_for_recall(0.99) <= predictor.log_odds_for_recall(0.5)
    assert predictor.recall_at(-1e9) == 1
    assert predictor.recall_at(1e9) == 0


def test_a_tokenizer_that_was_saved_in_another_form_is_the_same(predictor, features):
    saved_again = replace(features.source, tokenizer="other file", tokenizer_content="same content")
    fitted = replace(predictor, source=replace(predictor.source, tokenizer_content="same content"))
    warning = "the predictor was fitted with another tokenizer"
    assert warning not in fitted.check_features(replace(features, source=saved_again))
    assert warning in predictor.check_features(replace(features, source=saved_again))
    assert warning in fitted.check_features(replace(features, source=replace(saved_again, tokenizer_content="")))


def test_other_lengths_are_refused(predictor, features):
    other_lengths = replace(features, source=replace(features.source, extraction=Extraction(50, 50, 256)))
    with pytest.raises(SpecError, match=r"50, 50, 256 .* was expected, and this one was fitted to 50, 50, 128"):
        apply_predictor(other_lengths, predictor)


def test_a_few_examples_outside_the_range_of_the_fit_are_warned_of_and_at_risk(predictor):
    risk = apply_predictor(features_with_outliers(100), predictor)
    [warning] = risk.warnings
    assert "100 of 2 000 examples of train lie outside" in warning
    assert "most by zlib_bytes" in warning
    assert set(range(1900, 2000)) <= set(risk.examples)
    assert risk.share_at_risk.low >= 100 / 2000


def test_many_examples_outside_the_range_of_the_fit_are_refused(predictor):
    with pytest.raises(SpecError, match=r"101 of 2 000 examples .* at most 5.00% may: fit it to data of this kind"):
        apply_predictor(features_with_outliers(101), predictor)


def test_other_models_are_warned_of(predictor, features):
    assert predictor.check_features(features) == ()
    other_source = replace(features.source, teacher="another", tokenizer="another")
    assert predictor.check_features(replace(features, source=other_source)) == (
        "the predictor was fitted with another teacher",
        "the predictor was fitted with another tokenizer",
    )
