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
        DataError: A training set is not there, of an unknown format, or its first row cannot be read as declared.
    """
    from pytest_kdmem.corpus.first_row import check_first_row
    from pytest_kdmem.corpus.sources import check_source
    from pytest_kdmem.specs.model_place import check_model_place

    for training_set in training_sets:
        check_source(training_set)
    for model in models:
        if model is not None:
            check_model_place(model, offline=offline)
    for training_set in training_sets:
        check_first_row(training_set)


def check_order(command: str, model: str, training_set: str) -> None:
    """Refuse a model and a training set that stand in each other's place.

    Args:
        command: The command, which takes the model first.
        model: What stands in the place of the model.
        training_set: What stands in the place of the training set.

    Raises:
        SpecError: They are the other way round.
    """
    from pytest_kdmem.specs.model_place import holds_model

    first, second = local_path(model), local_path(training_set)
    if is_data_file(model) or (holds_model(second) and not holds_model(first)):
        raise SpecError(
            f"A model was expected first, and a training set second; found {model} and {training_set}: write"
            f" {command} {training_set} {model}."
        )


def check_models_first(models: Sequence[str], training_set: str) -> None:
    """Refuse a training set among the models, and a model in the place of the training set.

    Args:
        models: What stands in the places of models.
        training_set: What ``--training-set`` names.

    Raises:
        SpecError: One of them is something else.
    """
    from pytest_kdmem.specs.model_place import holds_model

    misplaced = [f"a training set among the models ({model})" for model in models if is_data_file(model)]
    if holds_model(local_path(training_set)):
        misplaced.append(f"a model as --training-set ({training_set})")
    if misplaced:
        raise SpecError(
            f"Models were expected first, and the training set as --training-set; found {' and '.join(misplaced)}:"
            " write kdmem compare-models MODEL MODEL --training-set SET."
        )


def is_data_file(source: str) -> bool:
    """Whether a file with the ending of a training set lies there."""
    from pytest_kdmem.corpus.sources import file_ending

    path = local_path(source)
    return is_file(path) and file_ending(path) is not None
