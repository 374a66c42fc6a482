"""How a step is split over processes and passes, and which settings of a run are valid."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_kdmem.distill.execution import Execution, recipe_and_execution
from pytest_kdmem.distill.recipe import Recipe
from pytest_kdmem.errors import SpecError


@given(
    batch_size=st.integers(1, 64),
    processes=st.integers(1, 9),
    micro_batch=st.none() | st.integers(1, 20),
)
def test_a_step_is_split_evenly_or_refused(batch_size, processes, micro_batch):
    execution = Execution(micro_batch_size=micro_batch)
    share, remainder = divmod(batch_size, processes)
    if remainder or (micro_batch and share % min(micro_batch, share)):
        with pytest.raises(SpecError, match=f"found {batch_size}"):
            execution.split_step(batch_size, processes)
    else:
        split = execution.split_step(batch_size, processes)
        assert split.micro_batch_size * split.passes * processes == batch_size
        assert split.micro_batch_size <= (micro_batch or batch_size)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"micro_batch_size": 0}, "micro-batch-size must be a whole number of at least 1; found 0"),
        ({"checkpoint_minutes": -1.0}, "checkpoint-minutes must be a number of at least 0"),
        ({"checkpoint_minutes": float("nan")}, "checkpoint-minutes must be a number of at least 0; found nan"),
    ],
)
def test_invalid_settings_are_refused(settings, message):
    with pytest.raises(SpecError, match=message):
        Execution(**settings)


def test_settings_are_split_into_recipe_and_execution():
    settings = {"mode": "baseline", "micro_batch_size": 2, "epochs": 3, "gradient_checkpointing": True}
    assert recipe_and_execution(settings) == (Recipe(mode="baseline", epochs=3), Execution(2, True))


def test_an_unknown_setting_is_refused_and_the_one_that_is_meant_is_named():
    message = r"there is none named 'temprature'; did you mean temperature\? There are batch_size, checkpoint_minutes, "
    with pytest.raises(SpecError, match=message):
        recipe_and_execution({"temprature": 2.0})


def test_trackers_are_named_with_commas():
    assert Execution().trackers == ()
    assert Execution(report_to="tensorboard, trackio").trackers == ("tensorboard", "trackio")
    with pytest.raises(SpecError, match="report-to must be names of tensorboard, mlflow, trackio, wandb"):
        Execution(report_to="comet")
