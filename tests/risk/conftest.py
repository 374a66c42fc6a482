"""A predictor that is fitted once per session, and quick fits where a test does not depend on their number."""

from __future__ import annotations

import pytest

from pytest_kdmem.risk import fitting
from pytest_kdmem.risk.features import Features, extract_features
from pytest_kdmem.risk.fitting import FittedPredictor, fit_predictor
from pytest_kdmem.risk.labels import labels_from_both_models
from pytest_kdmem.risk.predicted import PredictedRisk, apply_predictor
from pytest_kdmem.risk.predictor import Predictor
from tests.risk.score_pairs import make_pair

EXAMPLES, RECITED = 2000, 80


@pytest.fixture(scope="session")
def features() -> Features:
    return extract_features(make_pair(EXAMPLES, RECITED))


@pytest.fixture(scope="session")
def fitted(features: Features) -> FittedPredictor:
    return fit_predictor(features, labels_from_both_models(features))


@pytest.fixture(scope="session")
def predictor(fitted: FittedPredictor) -> Predictor:
    return fitted.predictor


@pytest.fixture(scope="session")
def predicted(features: Features, predictor: Predictor) -> PredictedRisk:
    return apply_predictor(features, predictor)


@pytest.fixture
def quick_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten trials and ten refits in place of a hundred."""
    monkeypatch.setattr(fitting, "TRIALS", 10)
    monkeypatch.setattr(fitting, "REFITS", 10)
