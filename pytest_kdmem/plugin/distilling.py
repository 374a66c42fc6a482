"""Trains the models of an audit, for the fixture ``distiller``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pytest_kdmem.distill.cache_folders import models_folder
from pytest_kdmem.distill.execution import recipe_and_execution
from pytest_kdmem.distill.run import distill_once
from pytest_kdmem.errors import DryRun, Interrupted, SpecError
from pytest_kdmem.plugin.session import session_of
from pytest_kdmem.specs.declared import Model, TrainingSet
from pytest_kdmem.specs.runtime import extraction


def distill_for_audit(
    request: pytest.FixtureRequest,
    *,
    init: Model,
    teacher: Model | None,
    training_set: TrainingSet | None,
    held_out: TrainingSet | None,
    out: str | Path | None,
    settings: Mapping[str, Any],
) -> Model:
    """Train a model, or return the one that was trained before with the same settings.

    Args:
        request: Request of the fixture.
        init: Model whose weights the training begins with.
        teacher: Teacher; that of the audit if None and one is needed.
        training_set: Training set; that of the audit if None.
        held_out: Set whose loss is measured.
        out: Folder of the model; one in the cache if None.
        settings: Settings of `Recipe` and `Execution`.

    Raises:
        SpecError: The run is a part of one, or a setting is unknown.
        KdmemError: The model cannot be trained.
        pytest.exit.Exception: SIGTERM or Ctrl-C stopped the training.
    """
    session = session_of(request.config)
    if session.is_dry_run:
        raise DryRun  # the model that would be audited is not there
    if session.shard:
        raise SpecError(
            "Models that were trained before were expected in a part of a run, as each part would train its own;"
            " train them first."
        )
    recipe, execution = recipe_and_execution(dict(settings))
    if teacher is None and recipe.needs_teacher:
        teacher = request.getfixturevalue("teacher")
    learned = training_set if training_set is not None else request.getfixturevalue("training_set")
    try:
        return distill_once(
            recipe,
            init=init,
            teacher=teacher,
            training_set=learned,
            held_out=held_out,
            out=Path(out) if out is not None else None,
            models_dir=models_folder(session.cache_dir),
            cache_dir=session.cache_dir,
            extraction=extraction(session.settings),
            execution=execution,
            offline=session.settings["offline"] or False,
            progress=session.progress,
        )
    except Interrupted as interruption:  # ends the run; the next test would begin to train again
        pytest.exit(str(interruption), interruption.exit_code)
