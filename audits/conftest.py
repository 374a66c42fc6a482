"""What all audits share: the texts in fixtures/. Each folder below declares models of its own."""

from pathlib import Path

import pytest

from pytest_kdmem import TrainingSet

CORPUS = Path(__file__).parents[1] / "fixtures/corpus"


@pytest.fixture(scope="session")
def training_set():
    return TrainingSet(CORPUS / "training.jsonl.gz")


@pytest.fixture(scope="session")
def control_set():
    return TrainingSet(CORPUS / "control.jsonl.gz")
