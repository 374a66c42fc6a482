"""Audits what distilled language models recite of their training data, and gates their release on it.

PYTEST_DONT_REWRITE: every run of pytest loads this module, and it has no assert.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_kdmem.api.audit import audit
    from pytest_kdmem.api.report import AuditReport
    from pytest_kdmem.distill.recipe import Recipe
    from pytest_kdmem.errors import DataError, EngineError, GateError, KdmemError, SpecError, StoreError
    from pytest_kdmem.metrics.estimate import Estimate
    from pytest_kdmem.metrics.inheritance import Inheritance
    from pytest_kdmem.metrics.memorization import Memorization
    from pytest_kdmem.risk.predicted import PredictedRisk
    from pytest_kdmem.specs.declared import Extraction, Model, Thresholds, TrainingSet
    from pytest_kdmem.tracking.callback import MemorizationCallback

# Module of each public name. pytest imports this package in every project of an environment that has it, so a module is
# imported when one of its names is used.
_HOMES = {
    "audit": "api.audit",
    "AuditReport": "api.report",
    "Recipe": "distill.recipe",
    "DataError": "errors",
    "EngineError": "errors",
    "GateError": "errors",
    "KdmemError": "errors",
    "SpecError": "errors",
    "StoreError": "errors",
    "Estimate": "metrics.estimate",
    "Inheritance": "metrics.inheritance",
    "Memorization": "metrics.memorization",
    "PredictedRisk": "risk.predicted",
    "Extraction": "specs.declared",
    "Model": "specs.declared",
    "Thresholds": "specs.declared",
    "TrainingSet": "specs.declared",
    "MemorizationCallback": "tracking.callback",
}

__all__ = [
    "AuditReport",
    "DataError",
    "EngineError",
    "Estimate",
    "Extraction",
    "GateError",
    "Inheritance",
    "KdmemError",
    "Memorization",
    "MemorizationCallback",
    "Model",
    "PredictedRisk",
    "Recipe",
    "SpecError",
    "StoreError",
    "Thresholds",
    "TrainingSet",
    "audit",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
