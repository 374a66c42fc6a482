"""Checks that an adapter of a model can be trained; torch is loaded only where PEFT is, which needs it."""

from __future__ import annotations

from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.checkpoint import Checkpoint


def check_can_adapt(init: Checkpoint) -> None:
    """Raise SpecError if no adapter of a model can be trained here."""
    if init.base is not None:
        raise SpecError(
            f"A whole model was expected as --init of a training with lora-rank, and {init.folder} is an adapter"
            " itself; train an adapter of its base, or leave out lora-rank to train the merged model."
        )
    from pytest_kdmem.engines.transformers.quiet import quiet_libraries

    try:
        with quiet_libraries():
            import peft  # noqa: F401
    except ImportError as error:
        raise SpecError(
            "The package peft was expected for a training with lora-rank, and it cannot be imported"
            f" ({type(error).__name__}): pip install 'pytest-kdmem[peft]'."
        ) from error
