"""Trackers are known by name, and the package that one needs is told."""

from __future__ import annotations

import pytest

from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.trackers import TRACKERS, check_installed, tracker_names


@pytest.mark.parametrize("value", ["comet", "wandb,comet", "mlflow,mlflow", "", " , "])
def test_other_trackers_are_refused(value: str) -> None:
    assert tracker_names(value) == "names of tensorboard, mlflow, trackio, wandb, separated by commas"


def test_trackers_are_named_with_commas() -> None:
    assert tracker_names("mlflow, trackio") == ""
    check_installed(("mlflow", "trackio", "tensorboard"))


def test_the_first_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("wandb", "trackio"):
        monkeypatch.setitem(TRACKERS, name, (f"no_such_{name}", name))
    with pytest.raises(SpecError, match=r"figures are to be logged to wandb, and .*: pip install wandb\."):
        check_installed(("tensorboard", "wandb", "trackio"))
