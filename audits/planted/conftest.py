"""The models in fixtures/ whose training set holds canaries and records of known copies. Point these at your own.

Canaries and keys are random strings, which a model rightly finds as unlikely as noise: a warning says so in one line.
"""

from pathlib import Path

import pytest

from pytest_kdmem import Model, TrainingSet

FIXTURES = Path(__file__).parents[2] / "fixtures"
MODELS = FIXTURES / "models/planted"


@pytest.fixture(scope="session")
def teacher():
    return Model(MODELS / "teacher")


@pytest.fixture(scope="session")
def student():
    return Model(MODELS / "student")


@pytest.fixture(scope="session")
def baseline():
    return Model(MODELS / "baseline")


@pytest.fixture(scope="session")
def base():
    return Model(FIXTURES / "models/pythia/base-small")


@pytest.fixture(scope="session")
def training_set():
    return TrainingSet(FIXTURES / "corpus/planted.jsonl.gz", group_column="source")


@pytest.fixture(scope="session")
def control_set():
    return TrainingSet(FIXTURES / "corpus/planted-control.jsonl.gz")
