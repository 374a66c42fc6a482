"""Random reports: hostile strings, numbers of every kind, and absent parts."""

from __future__ import annotations

import math
import types
from dataclasses import fields, is_dataclass, replace
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pytest_kdmem.auditing.report import Report
from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.auditing.schema import ModelEntry, RiskEntry
from tests.report.audits import risk_entry

HOSTILE = (
    "", " ", "a|b", "a\\|b", "`", "``` x", "a\\", "|", "# h", "1. x", "- x", "> q", "[x](http://evil.example)",
    "![x](y)",
    "<script>alert(1)</script>", "</td></table>", "<!--", "&lt;", "&#64;me", "@maintainer", "#12", "GH-3", ":boom:",
    "https://evil.example", "www.evil.example", "me@evil.example", "*a*", "_a_", "~~a~~", "$x$", "a\nb", "a\r\nb",
    "\n\n# h", "\x1b[31m", "\x1b[2J\x1b[31mstudent", "\x1b]0;owned\x07", "\x9b31m", "a\rb", "a\tb", "\x00", "\x85",
    "\u2028", "\u202e", "\u202etneduts", "\ufeff", "\ufffe", "\uffff", "\ud800", "\U0001f600",
    "学生", "::error::x", "  ::set-output name=a::b", "##[error]x", "##vso[task.complete]x", "100%", "%0A::error::x",
    "a:b,c=d", "]]>", "<![CDATA[", "{0}", "[a](1)", "---", "...", "x" * 5000, "../../etc/passwd", "/etc/passwd",
    "//host/x", "a b.py", "a.py::test_x[a::b]", "a.py::TestX::test_y[[]", "\"'", "{{ x }}", "'; rm -rf ~", "inf",
    ".nan", "1e5", "yes", "null",
)  # fmt: skip
TEXT = st.sampled_from(HOSTILE) | st.text(st.characters(), max_size=12)
INTEGERS = st.integers(0, 9) | st.integers(0, 10**9)
FLOATS = st.floats(-1e300, 1e300) | st.sampled_from([0.0, 0.01, 1.0, math.nan, math.inf, -math.inf])


def values_of(annotation: Any) -> st.SearchStrategy[Any]:
    """Values of a type annotation, with those of all nested annotations."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation is RiskEntry:
        return risk_entries()
    if is_dataclass(annotation):
        # The run of a model is a checked summary, not free text.
        return instances(annotation, absent=("run",) if annotation is ModelEntry else ())
    if annotation is Any:
        return st.none() | st.booleans() | INTEGERS | TEXT | st.lists(TEXT, max_size=2)
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin in (Union, types.UnionType):
        return st.one_of(*map(values_of, arguments))
    if origin is tuple:
        return st.lists(values_of(arguments[0]), max_size=3).map(tuple)
    if origin is dict:
        return st.dictionaries(TEXT | st.sampled_from(["student", "teacher"]), values_of(arguments[1]), max_size=3)
    simple = {str: TEXT, int: INTEGERS, float: FLOATS, bool: st.booleans(), type(None): st.none()}
    return simple[annotation]


def risk_entries() -> st.SearchStrategy[RiskEntry]:
    """Risk entries with hostile strings and the numbers of a real predictor."""
    return st.builds(
        lambda predictor, labels: replace(risk_entry(), predictor=predictor, labels=labels), predictor=TEXT, labels=TEXT
    )


@st.composite
def instances(draw: st.DrawFn, dataclass: Any, absent: tuple[str, ...] = ()) -> Any:
    """Instances of a dataclass; absent fields keep their default."""
    hints = get_type_hints(dataclass)
    names = [field.name for field in fields(dataclass) if field.name not in absent]
    return dataclass(**{name: draw(values_of(hints[name])) for name in names})


@st.composite
def reports(draw: st.DrawFn) -> Report:
    """One to three audits of different names, without examples and distributions, which formats for CI do not show."""
    audits = instances(AuditResult, absent=("examples", "distributions"))
    return Report(tuple(draw(st.lists(audits, min_size=1, max_size=3, unique_by=lambda audit: audit.name))))


@cache
def random_reports() -> tuple[Report, ...]:
    """Twenty-five reports, the same in every run; drawing them takes longer than rendering, so all tests share them."""
    drawn: list[Report] = []

    @given(reports())
    @settings(max_examples=25, phases=(Phase.generate,), suppress_health_check=list(HealthCheck))
    def draw_reports(report: Report) -> None:
        drawn.append(report)

    draw_reports()
    return tuple(drawn)
