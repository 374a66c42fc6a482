"""The trackers that figures are logged to, and the package that each needs.

PYTEST_DONT_REWRITE: every run of pytest loads this module, and it has no assert.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.other_readings import split_names

# Module of each tracker, and the package that holds it.
TRACKERS = {
    "tensorboard": ("tensorboard", "tensorboard"),
    "mlflow": ("mlflow", "mlflow"),
    "trackio": ("trackio", "trackio"),
    "wandb": ("wandb", "wandb"),
}


def tracker_names(value: Any) -> str:
    """Names of trackers, separated by commas."""
    names = split_names(str(value))
    is_right = names and set(names) <= TRACKERS.keys() and len(set(names)) == len(names)
    return "" if is_right else f"names of {', '.join(TRACKERS)}, separated by commas"


def check_installed(names: tuple[str, ...]) -> None:
    """Raise SpecError for the first of some trackers whose package is not installed."""
    for name in names:
        module, package = TRACKERS[name]
        if find_spec(module) is None:
            raise SpecError(
                f"The package {package} was expected, as figures are to be logged to {name}, and it is not installed:"
                f" pip install {package}."
            )
