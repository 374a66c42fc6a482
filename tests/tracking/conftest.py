"""Rows that a training learns by heart, and one thread for models this small."""

from __future__ import annotations

import pytest
import torch

from tests.tracking.trainings import random_ids, write_set


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def ids():
    return random_ids()


@pytest.fixture
def training_set(tmp_path, ids):
    return write_set(tmp_path, ids)
