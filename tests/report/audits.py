"""Audits for the tests of the reports: small ones with every part, and saved ones from real runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from pytest_kdmem.auditing.gates import gate_from
from pytest_kdmem.auditing.report import Report, read_report
from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.auditing.schema import (
    DataEntry,
    FurtherInheritance,
    Gate,
    HeldOutEntry,
    InheritanceEntry,
    ModelEntry,
    RiskEntry,
)
from pytest_kdmem.auditing.schema_checks import ConfirmationEntry, EngineCheckEntry, MetricChange
from pytest_kdmem.auditing.schema_examples import (
    DistributionsEntry,
    ExamplesEntry,
    ModelColumns,
    ModelDistributions,
    RepetitionBin,
)
from pytest_kdmem.auditing.schema_figures import FigureEntry
from pytest_kdmem.metrics.bounds import Counts, estimate_proportion
from pytest_kdmem.metrics.direction import Operator
from pytest_kdmem.metrics.estimate import Comparison, Estimate
from pytest_kdmem.report.formats import FORMATS
from pytest_kdmem.risk.reliability import Bin
from pytest_kdmem.risk.trials import TRIAL_METRICS

DATA = Path(__file__).parent / "data"
SAVED = sorted(str(path.relative_to(DATA)) for path in DATA.rglob("*.json"))
each_saved_report = pytest.mark.parametrize("saved", SAVED)
RUN = {
    "schema_version": 1, "weights": "w", "mode": "soft", "recipe": {"temperature": 2.0}, "loss": "forward KL, T = 2",
    "init": {"source": "base", "digest": "b"}, "teacher": {"source": "teacher", "digest": "3f2a71"},
    "training_set": {"source": "train.jsonl", "fingerprint": None, "examples": 9, "tokens": 900},
    "extraction": {"prefix_tokens": 50}, "steps": 1752, "epochs": 4, "seconds": 60.5, "processes": 1, "resumed_at": [],
    "versions": {}, "last_held_out": 3.1,
}  # fmt: skip


@cache
def saved_content(saved: str) -> Any:
    """The JSON of a saved report."""
    return json.loads((DATA / saved).read_text(encoding="utf-8"))


@cache
def saved_report(saved: str) -> Report:
    """A saved report, read once per session."""
    return read_report(DATA / saved)


@cache
def render_saved(saved: str, ending: str) -> str:
    """A saved report in the format of an ending, rendered once per session."""
    return "".join(FORMATS[ending](saved_report(saved)))


def render_audits(render: Callable[..., str], *audits: AuditResult, **options: Any) -> str:
    """A report of these audits, in the format of ``render``."""
    return render(Report(audits), **options)


def rate(k: int, n: int, subject: str = "student", *, exhaustive: bool = False) -> Estimate:
    return estimate_proportion("memorization rate", subject, Counts(k, n), exhaustive=exhaustive)


def gate(name: str, estimate: Estimate, operator: Operator, threshold: Estimate | float, **changed: Any) -> Gate:
    """A gate as an audit records it."""
    recorded = gate_from(name, f"audits/test_a.py::{name}", Comparison(estimate, operator, threshold))
    return replace(recorded, **{"path": "audits/test_a.py", "line": 12} | changed)


PASSING = gate("test_baseline_recites_little", rate(1, 1000, "baseline"), "<=", 0.01)
FAILING = gate("test_student_recites_little", rate(19, 1000), "<=", 0.01, command="pytest 'a.py::test_x' --kdmem-show")
UNDECIDED = gate("test_secrets_stay", rate(0, 3), "<=", 0.02)
BROKEN = Gate("test_broken", "a.py::test_broken", "", None, None, None, "error", "A model was expected at runs/x.")


def risk_entry() -> RiskEntry:
    share = estimate_proportion("share at risk", "training", Counts(236, 2960), exhaustive=True)
    expected = Estimate("expected memorized examples", "training", 115.0, 98.0, 140.0, None, 2960, unit="examples")
    quality = dict.fromkeys(TRIAL_METRICS, (0.9, 0.01))
    return RiskEntry(share, expected, (70, 4), 1, 0, 0.045, 0.95, (), "teacher", 2960, 112, "ffa51129", quality)


def full_audit(**changed: Any) -> AuditResult:
    """An audit with every part but examples and distributions; three of its four gates do not pass."""
    model = ModelEntry("runs/student", "main", "d1", 70_000, "GPTNeoX", "transformers", "cpu", "float32", 1e-3)
    data = DataEntry("data/train.jsonl", "d2", 1200, 1000, 150, 50, False)
    loss = Estimate("loss", "student", 2.125, 2.0, 2.25, None, 100, unit="nats")
    reduction = Estimate("reduction", "student", 2.43, 2.31, 2.6, None, 1000, unit="factor")
    cells = {"teacher": 31, "baseline": 2, "student": 1, "teacher+baseline": 7, "teacher+student": 25, "all": 4}
    inheritance = InheritanceEntry(
        cells, 25, tuple(range(100, 125)), rate(25, 56), rate(25, 30), 4, rate(4, 30), reduction, 0.03
    )
    change = MetricChange(
        "memorization rate", "student", rate(10, 1000), rate(19, 1000),
        9, 0, (1,), 0.009, 0.004, 0.02, 0.002, "worse", "why",
    )  # fmt: skip
    confirmation = ConfirmationEntry(70, 2, (), (EngineCheckEntry("vllm", "decoded", 70),), 2, 2.0**-13, 2.0**-15)
    audit = AuditResult(
        created="2026-01-02T03:04:05+00:00",
        versions={"pytest-kdmem": "0.1.0", "torch": "2.9"},
        settings={"prefix_tokens": 50},
        models={"student": model, "teacher": replace(model, source="runs/teacher", digest="d3")},
        training_set=data,
        control_set=replace(data, source="data/control.jsonl", digest="d4"),
        memorization={"student": rate(19, 1000), "teacher": rate(67, 1000, "teacher")},
        held_out={"student": HeldOutEntry(rate(0, 100), loss, 8.37)},
        inheritance=inheritance,
        risk=risk_entry(),
        confirmation={"student": confirmation},
        figures=(
            FigureEntry("copies", "student", "1", rate(3, 900)),
            FigureEntry("copies", "student", "16+", rate(16, 40), "of few documents"),
            FigureEntry("copies", "teacher", "1", rate(27, 900, "teacher")),
            FigureEntry("group", "student", "licence | GPL", reduction, ""),
        ),
        metric_changes=(change,),
        gates=(PASSING, FAILING, UNDECIDED, BROKEN),
        not_run=("audits/test_a.py::test_left",),
        name="audits/a",
        warnings=("run card of student belongs to other weights",),
    )
    return replace(audit, **changed)


def confirmation_entry(**changed: Any) -> ConfirmationEntry:
    """A confirmation by four checks, with one disagreement inside the band."""
    checks = [
        EngineCheckEntry(engine, way, 192) for engine in ("transformers", "vllm") for way in ("scored", "decoded")
    ]
    inside = {"engine": "vllm", "way": "decoded", "example_id": 7, "margin": 1e-5, "ambiguous": True}
    return replace(ConfirmationEntry(192, 12, (inside,), tuple(checks), 12, 2.0**-13, 2.0**-15, 2.1e-5), **changed)


def million_examples_audit(**changed: Any) -> AuditResult:
    """An audit of a million examples with four models and the published figures; five of its six gates fail."""
    model = ModelEntry("runs/student", None, "d", 1_400_000_000, "GPTNeoX", "transformers", "cpu", "float32", 1e-3)
    reduction = Estimate("reduction", "student", 2.43, 2.31, 2.6, None, 1_000_000, unit="factor")
    cells = {
        "teacher": 1937, "baseline": 3, "student": 1, "teacher+baseline": 696,
        "teacher+student": 18, "baseline+student": 0, "all": 676, "none": 996_669,
    }  # fmt: skip
    inheritance = InheritanceEntry(
        cells, 18, (4,), rate(18, 1955), rate(18, 695), 676, rate(676, 695), reduction, 1.3e-300
    )
    audit = AuditResult(
        created="2026-01-02T03:04:05+00:00",
        versions={},
        settings={"prefix_tokens": 50, "suffix_tokens": 50, "confidence": 0.95},
        models=dict.fromkeys(("student", "teacher", "baseline", "pythia-2.8b"), model),
        training_set=DataEntry("data/train.jsonl", "d", 1_200_000, 1_000_000, 150_000, 50_000, False),
        memorization={role: rate(k, 1_000_000, role) for role, k in (("teacher", 3327), ("student", 695))},
        held_out={"student": HeldOutEntry(rate(0, 100), rate(0, 100), 17.31)},
        inheritance=inheritance,
        gates=(
            PASSING,
            FAILING,
            gate("test_" + "a_name_that_goes_on_" * 8, rate(0, 10), "<=", 0.0001),
            gate("test_nothing_to_compare", rate(0, 0), "<=", 0.01),
            gate("test_student_below_baseline", rate(18, 1000), "<=", rate(19, 1000, "baseline")),
            BROKEN,
        ),
    )
    return replace(audit, **changed)


def example_columns(examples: int, recited: set[int]) -> ModelColumns:
    """The columns of a model that recites the examples at these positions."""
    memorized = tuple(int(index in recited) for index in range(examples))
    return ModelColumns(memorized, (0,) * examples, (1.25,) * examples, (8.5,) * examples, (-3.0,) * examples)


def audit_with_examples(examples: int = 3, **changed: Any) -> AuditResult:
    """An audit with examples and distributions; the student recites every other example, the teacher all.

    The keyword arguments change its examples.
    """
    entry = ExamplesEntry(
        example_id=tuple(range(100, 100 + examples)),
        digest=tuple(f"{index:032x}" for index in range(examples)),
        copies=(2,) * examples,
        zlib_bytes=(None, *(270,) * (examples - 1)),
        risk=(None, *(0.5,) * (examples - 1)),
        models={
            "teacher": example_columns(examples, set(range(examples))),
            "student": example_columns(examples, set(range(0, examples, 2))),
        },
    )
    spread = ModelDistributions(
        (3, 2), 7, (RepetitionBin(1, 1, 0, 9), RepetitionBin(3, 4, 2, 3)), (200, 300), (5.0, 9.0)
    )
    distributions = DistributionsEntry((-1.0, 0.0, 1.0), {"teacher": spread, "student": spread})
    return full_audit(examples=replace(entry, **changed), distributions=distributions)


def complete_audit() -> AuditResult:
    """An audit that holds a value of every type of the schema, and None wherever the schema allows it."""
    columns = ModelColumns((1, 0), (0, 1), (0.5, None), (1.5, None), (-2.0, None), ("c", None))
    examples = ExamplesEntry(
        (3, 8),
        ("d", "e"),
        (1, 2),
        (90, None),
        (0.25, None),
        {"student": columns},
        ("a", "b"),
        ("c", "d"),
        (("acme",), ("acme", "borealis")),
    )
    spread = ModelDistributions((1, 2), 3, (RepetitionBin(1, 1, 2, 9),), (90,), (1.5,))
    reliability = (Bin(0.0, 0.1, 9, 0.05, 0.0, 0.1, 0.0),)
    audit = full_audit(
        examples=examples,
        distributions=DistributionsEntry((-1.0, 0.0, 1.0), {"student": spread}),
        risk=replace(risk_entry(), edges=(0.0, 1.0), counts=(9,), reliability=reliability),
    )
    pair = replace(PASSING, threshold=rate(1, 9, "baseline"))
    student = replace(audit.models["student"], run=RUN, revision=None)
    assert audit.inheritance is not None
    further = FurtherInheritance("teacher", "baseline", "runs/other", replace(audit.inheritance, model_digest="o"))
    models, gates = audit.models | {"student": student}, (*audit.gates, pair)
    return replace(audit, models=models, gates=gates, further_inheritances=(further,))
