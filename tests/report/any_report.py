"""Reports with anything in them: strings hostile, figures of any kind, parts absent; and an audit that is whole."""

from __future__ import annotations

import math
import types
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from pytest_kdmem.audit.gates import gate_from
from pytest_kdmem.audit.report import Report
from pytest_kdmem.audit.result import AuditResult
from pytest_kdmem.audit.schema import (
    ConfirmationEntry,
    DataEntry,
    Gate,
    HeldOutEntry,
    InheritanceEntry,
    MetricChange,
    ModelEntry,
    RiskEntry,
    WitnessEntry,
)
from pytest_kdmem.metrics.bounds import Counts, estimate_proportion
from pytest_kdmem.metrics.estimate import Comparison, Estimate, Operator
from pytest_kdmem.risk.trials import TRIAL_METRICS

DATA = Path(__file__).parent / "data"
SAVED = sorted(DATA.rglob("*.json"))
saved = pytest.mark.parametrize("path", SAVED, ids=[str(path.relative_to(DATA)) for path in SAVED])

HOSTILE = (
    "", " ", "a|b", "a\\|b", "`", "``` x", "a\\", "|", "# h", "1. x", "- x", "> q", "[x](http://evil.example)",
    "![x](y)",
    "<script>alert(1)</script>", "</td></table>", "<!--", "&lt;", "&#64;me", "@maintainer", "#12", "GH-3", ":boom:",
    "https://evil.example", "www.evil.example", "me@evil.example", "*a*", "_a_", "~~a~~", "$x$", "a\nb", "a\r\nb",
    "\n\n# h", "\x1b[31m", "\x00", "\x85", "\u2028", "\u202e", "\ufeff", "\ufffe", "\uffff", "\ud800", "\U0001f600",
    "学生", "::error::x", "  ::set-output name=a::b", "##[error]x", "##vso[task.complete]x", "100%", "%0A::error::x",
    "a:b,c=d", "]]>", "<![CDATA[", "{0}", "[a](1)", "---", "...", "x" * 5000, "../../etc/passwd", "/etc/passwd",
    "//host/x", "a b.py", "a.py::test_x[a::b]", "a.py::TestX::test_y[[]", "\"'", "{{ x }}", "'; rm -rf ~", "inf",
    ".nan", "1e5", "yes", "null",
)  # fmt: skip
# Reports are told as they are found: to shrink one takes minutes.
of_reports = settings(max_examples=40, phases=(Phase.explicit, Phase.generate), suppress_health_check=list(HealthCheck))
TEXT = st.sampled_from(HOSTILE) | st.text(st.characters(), max_size=12)
INTEGERS = st.integers(0, 9) | st.integers(0, 10**9)
FLOATS = st.floats(-1e300, 1e300) | st.sampled_from([0.0, 0.01, 1.0, math.nan, math.inf, -math.inf])


def values(kind: Any) -> st.SearchStrategy[Any]:
    """Values of an annotation, all the way down."""
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is RiskEntry:
        return risks()
    if is_dataclass(kind):
        return made(kind, absent=("run",) if kind is ModelEntry else ())  # what a card tells is no open text
    if kind is Any:
        return st.none() | st.booleans() | INTEGERS | TEXT | st.lists(TEXT, max_size=2)
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin in (Union, types.UnionType):
        return st.one_of(*map(values, arguments))
    if origin is tuple:
        return st.lists(values(arguments[0]), max_size=3).map(tuple)
    if origin is dict:
        return st.dictionaries(TEXT | st.sampled_from(["student", "teacher"]), values(arguments[1]), max_size=3)
    simple = {str: TEXT, int: INTEGERS, float: FLOATS, bool: st.booleans(), type(None): st.none()}
    return simple[kind]


def risks() -> st.SearchStrategy[RiskEntry]:
    """Hostile strings beside figures such as a predictor tells."""
    return st.builds(
        lambda predictor, labels: replace(whole_risk(), predictor=predictor, labels=labels), predictor=TEXT, labels=TEXT
    )


@st.composite
def made(draw: st.DrawFn, kind: Any, absent: tuple[str, ...] = ()) -> Any:
    hints = get_type_hints(kind)
    return kind(**{one.name: draw(values(hints[one.name])) for one in fields(kind) if one.name not in absent})


@st.composite
def reports(draw: st.DrawFn) -> Report:
    """One to three audits, of different names; without what no format for CI tells."""
    audits = made(AuditResult, absent=("examples", "distributions"))
    return Report(tuple(draw(st.lists(audits, min_size=1, max_size=3, unique_by=lambda audit: audit.name))))


def rate(k: int, n: int, subject: str = "student", *, exhaustive: bool = False) -> Estimate:
    return estimate_proportion("memorization rate", subject, Counts(k, n), exhaustive=exhaustive)


def gate(name: str, estimate: Estimate, operator: Operator, threshold: Estimate | float, **changed: Any) -> Gate:
    """A gate as an audit holds it."""
    audits_gate = gate_from(name, f"audits/test_a.py::{name}", Comparison(estimate, operator, threshold))
    return replace(audits_gate, **{"path": "audits/test_a.py", "line": 12} | changed)


PASSING = gate("test_baseline_recites_little", rate(1, 1000, "baseline"), "<=", 0.01)
FAILING = gate("test_student_recites_little", rate(19, 1000), "<=", 0.01, command="pytest 'a.py::test_x' --kdmem-show")
UNDECIDED = gate("test_secrets_stay", rate(0, 3), "<=", 0.02)
BROKEN = Gate("test_broken", "a.py::test_broken", "", None, None, None, "error", "A model was expected at runs/x.")


def whole_risk() -> RiskEntry:
    share = estimate_proportion("share at risk", "training", Counts(236, 2960), exhaustive=True)
    expected = Estimate("expected memorized examples", "training", 115.0, 98.0, 140.0, None, 2960, unit="examples")
    quality = dict.fromkeys(TRIAL_METRICS, (0.9, 0.01))
    return RiskEntry(share, expected, (70, 4), 1, 0, 0.045, 0.95, (), "teacher", 2960, 112, "ffa51129", quality)


def whole(**changed: Any) -> AuditResult:
    """An audit with every part, in which three gates of four do not pass."""
    model = ModelEntry("runs/student", "main", "d1", 70_000, "GPTNeoX", "transformers", "cpu", "float32", 1e-3)
    data = DataEntry("data/train.jsonl", "d2", 1200, 1000, 150, 50, False)
    loss = Estimate("loss", "student", 2.125, 2.0, 2.25, None, 100, unit="nats")
    reduction = Estimate("reduction", "student", 2.43, 2.31, 2.6, None, 1000, unit="factor")
    cells = {"teacher": 31, "baseline": 2, "student": 1, "teacher+baseline": 7, "teacher+student": 25, "all": 4}
    inheritance = InheritanceEntry(
        cells, 25, tuple(range(100, 125)), rate(25, 56), rate(25, 30), 4, rate(4, 30), reduction, 0.03
    )
    drift = MetricChange(
        "memorization rate",
        "student",
        rate(10, 1000),
        rate(19, 1000),
        9,
        0,
        (1,),
        0.009,
        0.004,
        0.02,
        0.002,
        "worse",
        "why",
    )
    confirmation = ConfirmationEntry(70, 2, (), (WitnessEntry("vllm", "decoded", 70),), 2, 2.0**-13, 2.0**-15)
    result = AuditResult(
        created="2026-01-02T03:04:05+00:00",
        versions={"pytest-kdmem": "0.1.0", "torch": "2.9"},
        settings={"prefix_tokens": 50},
        models={"student": model, "teacher": replace(model, source="runs/teacher", digest="d3")},
        training_set=data,
        control_set=replace(data, source="data/control.jsonl", digest="d4"),
        memorization={"student": rate(19, 1000), "teacher": rate(67, 1000, "teacher")},
        held_out={"student": HeldOutEntry(rate(0, 100), loss, 8.37)},
        inheritance=inheritance,
        risk=whole_risk(),
        confirmation={"student": confirmation},
        drift=(drift,),
        gates=(PASSING, FAILING, UNDECIDED, BROKEN),
        not_run=("audits/test_a.py::test_left",),
        name="audits/a",
        warnings=("run card of student is of other weights",),
    )
    return replace(result, **changed)


def rendered(render: Callable[..., str], *made: AuditResult, **how: Any) -> str:
    """A report of audits in a format."""
    return render(Report(made), **how)
