"""Results of audits with every part, and their comparison field by field."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.auditing.schema import DataEntry, Gate, HeldOutEntry, InheritanceEntry, ModelEntry
from pytest_kdmem.auditing.schema_checks import ConfirmationEntry, EngineCheckEntry
from pytest_kdmem.auditing.schema_figures import FigureEntry
from tests.auditing.estimates import rate, reduction

RUN = {
    "schema_version": 1, "weights": "w", "mode": "soft", "recipe": {"temperature": 2.0}, "loss": "forward KL, T = 2",
    "init": {"source": "runs/base", "digest": "b"}, "teacher": {"source": "runs/teacher", "digest": "t"},
    "training_set": {"source": "train.jsonl", "fingerprint": None, "examples": 9, "tokens": 900},
    "extraction": {"prefix_tokens": 50}, "steps": 1752, "epochs": 4, "seconds": 60.5, "processes": 1, "resumed_at": [],
    "versions": {}, "last_held_out": 3.1,
}  # fmt: skip


def full_result() -> AuditResult:
    """A result with every part."""
    student = ModelEntry(
        "runs/student", "main", "d1", 70_000, "GPTNeoX", "transformers", "cpu", "float32", 1e-3, run=RUN
    )
    data = DataEntry("train.jsonl", "d2", 1200, 1000, 150, 50, False)
    ratio = replace(rate(18, 1955), metric="inheritance ratio")
    share = replace(rate(18, 706), metric="inherited share")
    loss = replace(rate(0, 100), metric="loss", unit="nats", k=None)
    baseline = rate(50, 1000, subject="baseline")
    gates = (
        Gate("test_rate", "a.py::test_rate", "memorization rate", rate(19, 1000), "<=", 0.01, "fail", "why", "how"),
        Gate("test_pair", "a.py::test_pair", "rate", rate(1, 1000), "<=", baseline, "pass", "ok"),
        Gate("test_broken", "a.py::test_broken", "", None, None, None, "error", "engine crashed"),
    )  # fmt: skip
    return AuditResult(
        created="2026-01-02T03:04:05+00:00",
        versions={"torch": "2.9"},
        settings={"prefix_tokens": 50, "student": "runs/schüler", "report": ["a.json"], "confidence": 0.95},
        models={"student": student, "teacher": replace(student, source="runs/teacher", revision=None)},
        training_set=data,
        control_set=replace(data, exhaustive=True),
        memorization={"student": rate(19, 1000)},
        memorized_examples={"student": (3, 8, 21), "teacher": ()},
        held_out={"student": HeldOutEntry(rate(0, 100), loss, 17.3)},
        inheritance=InheritanceEntry(
            {"teacher": 5, "none": 990}, 2, (4, 9), ratio, share, 3, share, reduction(2.4, 1.6, 3.6), 0.03
        ),
        confirmation={
            "student": ConfirmationEntry(
                70,
                2,
                ({"engine": "vllm", "way": "decoded", "example_id": 4, "margin": None, "ambiguous": True},),
                (EngineCheckEntry("transformers", "scored", 70), EngineCheckEntry("vllm", "decoded", 70)),
                9,
                2.0**-13,
                2.0**-15,
                2.1e-5,
            ),
            "teacher": ConfirmationEntry(64, 0, ()),
        },
        figures=(FigureEntry("copies", "student", "16+", rate(3, 20), "of few"),),
        gates=gates,
        name="audits/a",
        warnings=("run card of teacher belongs to other weights",),
    )


def through_json(result: AuditResult) -> AuditResult:
    return AuditResult.from_json(json.loads(json.dumps(result.to_json(), allow_nan=False)))


def comparable(value: Any) -> Any:
    """Fields all the way down as comparable values; estimates as tuples of theirs, NaN as a word."""
    if hasattr(value, "__dataclass_fields__"):
        return type(value), tuple((name, comparable(getattr(value, name))) for name in value.__dataclass_fields__)
    if isinstance(value, dict):
        return {key: comparable(entry) for key, entry in value.items()}
    if isinstance(value, tuple):
        return tuple(map(comparable, value))
    return "NaN" if isinstance(value, float) and math.isnan(value) else value


def assert_same(actual: AuditResult, expected: AuditResult) -> None:
    for name in AuditResult.__dataclass_fields__:
        assert comparable(getattr(actual, name)) == comparable(getattr(expected, name)), name
