"""The OLMo-2 models in fixtures/. Point these at your own."""

from pathlib import Path

import pytest

from pytest_kdmem import Model

MODELS = Path(__file__).parents[2] / "fixtures/models/olmo2"


@pytest.fixture(scope="session")
def teacher():
    return Model(MODELS / "teacher")


@pytest.fixture(scope="session")
def student():
    return Model(MODELS / "student")


@pytest.fixture(scope="session")
def baseline():
    return Model(MODELS / "baseline")
