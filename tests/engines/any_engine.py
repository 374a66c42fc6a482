"""The transformers engine on a tiny model, and rows of token ids as examples."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.engines.numerics import resolve_numerics
from pytest_kdmem.engines.protocol import Windows
from pytest_kdmem.engines.transformers.engine import TransformersEngine
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Extraction, Model

EXTRACTION = Extraction(20, 30, 64)


def engine_of(folder: Path, *, dtype: str = "float32", batch_size: int | None = None) -> TransformersEngine:
    model = Model(str(folder))
    checkpoint = open_checkpoint(model)
    numerics = resolve_numerics(model, checkpoint, engine="transformers", device="cpu", dtype=dtype, metrics="all")
    return TransformersEngine(model, checkpoint, numerics, batch_size=batch_size)


def examples_of(ids: np.ndarray) -> list[Example]:
    return [Example(position, row.astype(np.int32)) for position, row in enumerate(ids)]


def ignore_progress(examples: int) -> None:
    pass


def assert_same_windows(windows: Windows, expected: Windows) -> None:
    """The whole windows of the same examples tell the same of every token."""
    for margins, expected_margins in zip(windows.margins, expected.margins, strict=True):
        np.testing.assert_array_equal(margins, expected_margins)
    for name in ("unsure_within", "min_k", "min_k_plus"):
        np.testing.assert_array_equal(getattr(windows, name), getattr(expected, name))


def scored(engine, ids, extraction: Extraction = EXTRACTION, metrics="all"):
    return engine.score(examples_of(ids), extraction, metrics, ignore_progress)
