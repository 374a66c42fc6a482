"""An audit scores each model once, by its content, and checks what it keeps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pytest_kdmem.auditing.audit import Audit
from pytest_kdmem.errors import PartScored, SpecError
from pytest_kdmem.specs.declared import TrainingSet
from pytest_kdmem.specs.roles import MODEL_ROLES
from pytest_kdmem.specs.runtime import Part, RunSettings
from tests.audit_project import Cast


@pytest.mark.parametrize("role", MODEL_ROLES)
def test_a_model_memorized_what_it_was_built_to_recite(make_audit: Callable[..., Audit], cast: Cast, role: str) -> None:
    audit = make_audit()
    assert audit.training_set is not None
    memorization = audit.memorization(audit.roles[role], audit.training_set)
    assert set(memorization.examples) == cast.recited_by(role)
    assert memorization.subject == role


def test_a_model_that_was_scored_is_not_scored_again(make_audit: Callable[..., Audit]) -> None:
    audit = make_audit()
    assert audit.training_set is not None
    verdicts = audit.memorization(audit.roles["student"], audit.training_set)
    assert audit.memorization(audit.roles["student"], audit.training_set) is verdicts
    every_metric = audit.memorization(audit.roles["student"], audit.training_set, "all")
    assert every_metric is not verdicts
    fresh = make_audit()
    assert fresh.memorization(fresh.roles["student"], audit.training_set, "all").scores.scored_now == 0


def test_a_training_set_that_changed_meanwhile_is_refused(make_audit: Callable[..., Audit], tmp_path: Path) -> None:
    audit = make_audit()
    rows = np.load(audit.training_set.source)  # type: ignore[union-attr]
    np.save(tmp_path / "train.npy", rows)
    changing = TrainingSet(str(tmp_path / "train.npy"))
    audit.memorization(audit.roles["teacher"], changing)
    np.save(tmp_path / "train.npy", rows[:-1])
    with pytest.raises(SpecError, match="The same examples"):
        audit.memorization(audit.roles["student"], changing)


def test_a_part_of_a_run_scores_every_model_that_may_be_asked_for(
    make_audit: Callable[..., Audit], tmp_path: Path
) -> None:
    settings = RunSettings(engine="transformers", device="cpu", part=Part(1, 1))
    audit = replace(make_audit(run=settings), cache_dir=tmp_path)
    assert audit.training_set is not None
    with pytest.raises(PartScored, match="gates are evaluated once all parts are"):
        audit.memorization(audit.roles["student"], audit.training_set)
    whole = replace(make_audit(), cache_dir=tmp_path)
    for model in whole.roles.values():
        assert whole.memorization(model, audit.training_set).scores.scored_now == 0
