"""What a reader of verdicts must know of a model, by its files."""

from __future__ import annotations

from pytest_kdmem.specs import quantization
from pytest_kdmem.specs.adapter import notes_on_base
from pytest_kdmem.specs.checkpoint import Checkpoint


def notes_on(checkpoint: Checkpoint) -> tuple[str, ...]:
    """How a model was quantized, and over which base its adapter runs; empty if neither needs a word."""
    notes = quantization.notes_on(checkpoint.quantization)
    return (*notes, *notes_on_base(checkpoint.adapter(), checkpoint.base_source))
