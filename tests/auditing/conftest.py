"""An audit of models that recite known sets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pytest_kdmem.auditing.audit import Audit
from pytest_kdmem.base.progress import NO_PROGRESS
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.roles import MODEL_ROLES
from pytest_kdmem.specs.runtime import RunSettings
from tests.audit_project import PREFIX, SUFFIX, Cast


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, cast: Cast) -> Path:
    """A folder with the training set, a control set and another set, and the store of all audits here."""
    folder = tmp_path_factory.mktemp("audit")
    np.save(folder / "train.npy", cast.rows)
    np.save(folder / "control.npy", cast.rows[::-1, ::-1])
    np.save(folder / "other.npy", cast.rows[:10])
    return folder


@pytest.fixture
def make_audit(folder: Path, cast: Cast) -> Callable[..., Audit]:
    def make(*, run: RunSettings | None = None, **roles: Path) -> Audit:
        sources = {role: getattr(cast, role) for role in MODEL_ROLES} | roles
        return Audit(
            extraction=Extraction(PREFIX, SUFFIX, PREFIX + SUFFIX),
            run=run or RunSettings(engine="transformers", device="cpu"),
            confidence=0.95,
            confirms=False,
            cache_dir=folder / "store",
            progress=NO_PROGRESS,
            name="audits",
            roles={role: Model(str(source)) for role, source in sources.items()},
            training_set=TrainingSet(str(folder / "train.npy")),
            control_set=TrainingSet(str(folder / "control.npy")),
        )

    return make
