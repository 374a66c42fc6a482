"""Figures that cannot be accepted are compared where two reports hold them, and count as others do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pytest_kdmem.auditing.regression.further import further_metrics
from pytest_kdmem.auditing.regression.reports import AuditComparison, compare_reports
from pytest_kdmem.auditing.report import Report
from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.auditing.schema_figures import Family, FigureEntry
from pytest_kdmem.metrics.bounds import Counts, estimate_proportion
from tests.auditing.results import full_result

N = 208


def figure(family: Family, k: int, metric: str, subject: str = "student", part: str = "") -> FigureEntry:
    estimate = estimate_proportion(metric, f"{subject}{part}", Counts(k, N), exhaustive=True)
    return FigureEntry(family, subject, part, estimate)


def result(*figures: FigureEntry, **changed: Any) -> AuditResult:
    return replace(full_result(), figures=figures, **changed)


def compared(before: AuditResult, now: AuditResult) -> AuditComparison:
    [comparison] = compare_reports(Report((before,)), Report((now,)))
    return comparison


@pytest.mark.parametrize(
    ("family", "metric", "part"),
    [
        ("class", "email memorization rate", ""),
        ("group", "memorization rate", " on customer A"),
        ("copies", "memorization rate", " on 16+ copies"),
        ("sampler", "(100, 0.5)-extractable rate at temperature 0.8", ""),
        ("near_verbatim", "near-verbatim rate within 3 edits", ""),
        ("context", "memorization rate at prefix 25", ""),
        ("specific", "specific rate", ""),
    ],
)
def test_one_more_recited_example_of_any_family_is_a_regression(family: Family, metric: str, part: str) -> None:
    before, now = (
        result(figure(family, k, metric, part=part), models=models(digest)) for k, digest in ((0, "a"), (1, "b"))
    )
    [change] = compared(before, now).regressed
    assert (change.metric, change.outcome) == (metric, "worse")
    assert compared(now, before).regressed == ()
    assert [change.outcome for change in compared(now, before).further] == ["better"]


def models(digest: str) -> dict[str, Any]:
    roles = full_result().models
    return roles | {"student": replace(roles["student"], digest=digest)}


def test_only_what_both_reports_hold_and_what_is_released_is_compared() -> None:
    email, phone = "email memorization rate", "phone memorization rate"
    before = result(figure("class", 0, email), figure("class", 0, phone, "teacher"), figure("group", 0, "x"))
    now = result(figure("class", 0, email), figure("class", 9, phone, "teacher"), figure("group", 0, "y"))
    comparison = compared(before, now)
    assert [change.metric for change in comparison.further] == [email]
    assert comparison.shown == comparison.changes, "what stayed the same is not shown"


def test_easy_and_common_shares_say_neither_and_accepted_figures_are_not_compared_twice() -> None:
    doubled = figure("group", 1, "memorization rate")  # as of a group without a name of its own
    assert (
        further_metrics(result(figure("specific", 1, "easy share"), figure("specific", 1, "common share"), doubled))
        == ()
    )
    assert further_metrics(result(figure("class", 1, "email memorization rate"), training_set=None)) == ()


@pytest.mark.parametrize("changed", ["training set", "window-tokens", "phone_regions", "baseline"])
def test_another_set_length_search_or_baseline_cannot_be_compared(changed: str) -> None:
    metric = "email inherited rate"
    before = result(figure("class", 1, metric, "inherited"))
    known, data = before.models, before.training_set
    assert data is not None
    now = {
        "training set": replace(before, training_set=replace(data, digest="d9")),
        "window-tokens": replace(before, settings=before.settings | {"window_tokens": 99}),
        "phone_regions": replace(before, settings=before.settings | {"phone_regions": "DE"}),
        "baseline": replace(before, models=known | {"baseline": known["teacher"]}),
    }[changed]
    [change] = compared(before, now).further
    assert change.outcome == "refused"
    assert f"another {changed}" in change.reason
