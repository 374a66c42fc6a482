"""pytest-kdmem: audit what distilled language models recite of their training data, and gate releases on it.

PYTEST_DONT_REWRITE: loaded in every run of pytest, and without an assert.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_kdmem.distill.recipe import Recipe
    from pytest_kdmem.errors import DataError, EngineError, KdmemError, SpecError, StoreError
    from pytest_kdmem.estimate import Estimate
    from pytest_kdmem.inheritance import Inheritance
    from pytest_kdmem.memorization import Memorization
    from pytest_kdmem.risk.predicted import PredictedRisk
    from pytest_kdmem.spec import Extraction, Model, Thresholds, TrainingSet

# pytest imports this package in every project that has it installed, so names are looked up when they are used.
_HOMES = {
    "Recipe": "distill.recipe",
    "DataError": "errors",
    "EngineError": "errors",
    "KdmemError": "errors",
    "SpecError": "errors",
    "StoreError": "errors",
    "Estimate": "estimate",
    "Inheritance": "inheritance",
    "Memorization": "memorization",
    "PredictedRisk": "risk.predicted",
    "Extraction": "spec",
    "Model": "spec",
    "Thresholds": "spec",
    "TrainingSet": "spec",
}

__all__ = [
    "DataError",
    "EngineError",
    "Estimate",
    "Extraction",
    "Inheritance",
    "KdmemError",
    "Memorization",
    "Model",
    "PredictedRisk",
    "Recipe",
    "SpecError",
    "StoreError",
    "Thresholds",
    "TrainingSet",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
