"""Token ids that the tiny model recites, decoded once a session, and proof that no model is loaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(scope="session")
def recited_rows(tiny: Path, recited_ids: Callable[..., np.ndarray]) -> np.ndarray:
    """``[90, 100]`` ids; the tiny model recites the even rows."""
    return recited_ids(tiny, examples=90)


@pytest.fixture
def no_model_loads(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From its call on, whatever loads a model fails the test."""
    from transformers import AutoModelForCausalLM

    def forbid() -> None:
        monkeypatch.setattr(
            AutoModelForCausalLM, "from_pretrained", lambda *args, **settings: pytest.fail("a model was loaded")
        )

    return forbid
