"""What is audited: the models and texts in fixtures/. Point these at your own."""

from pathlib import Path

import pytest

from pytest_kdmem import Model, TrainingSet

FIXTURES = Path(__file__).parents[1] / "fixtures"


@pytest.fixture(scope="session")
def teacher():
    return Model(FIXTURES / "models/pythia/teacher")


@pytest.fixture(scope="session")
def student():
    return Model(FIXTURES / "models/pythia/student")


@pytest.fixture(scope="session")
def baseline():
    return Model(FIXTURES / "models/pythia/baseline")


@pytest.fixture(scope="session")
def training_set():
    return TrainingSet(FIXTURES / "corpus/training.jsonl.gz")


@pytest.fixture(scope="session")
def control_set():
    return TrainingSet(FIXTURES / "corpus/control.jsonl.gz")
