"""Looks at what a command was given before anything large is imported or read."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_kdmem.base.paths import is_file, local_path
from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.declared import Model, TrainingSet


def check_inputs(models: Sequence[Model | None], training_sets: Sequence[TrainingSet], *, offline: bool) -> None:
    """Check that models and training sets lie where they are said to; None is a model that is not given.

    Raises:
        SpecError: A model is not there, or something else is; or a training set is not declared as it must be.
        DataError: A training set is not there, or of an unknown format.
    """
    from pytest_kdmem.corpus.sources import check_source
    from pytest_kdmem.specs.model_place import check_model_place

    for training_set in training_sets:
        check_source(training_set)
    for model in models:
        if model is not None:
            check_model_place(model, offline=offline)


def check_order(command: str, model: str, training_set: str) -> None:
    """Refuse a model and a training set that stand in each other's place.

    Args:
        command: The command, which takes the model first.
        model: What stands in the place of the model.
        training_set: What stands in the place of the training set.

    Raises:
        SpecError: They are the other way round.
    """
    from pytest_kdmem.corpus.sources import file_ending
    from pytest_kdmem.specs.model_place import holds_model

    first, second = local_path(model), local_path(training_set)
    is_data_first = is_file(first) and file_ending(first) is not None
    if is_data_first or (holds_model(second) and not holds_model(first)):
        raise SpecError(
            f"A model was expected first, and a training set second; found {model} and {training_set}: write"
            f" {command} {training_set} {model}."
        )
