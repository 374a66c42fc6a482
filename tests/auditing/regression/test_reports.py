"""Two reports are compared audit by audit, and what does not show that a release is no worse counts against it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_kdmem.auditing.regression.compare import metric_changes
from pytest_kdmem.auditing.regression.reports import AuditComparison, compare_reports, concerns_release
from pytest_kdmem.auditing.report import Report
from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.errors import DataError
from tests.auditing.estimates import tracked_loss, tracked_rate, tracked_reduction
from tests.auditing.results import full_result

AUDIT = full_result()


def test_audits_are_compared_by_name_whatever_their_order() -> None:
    second = replace(AUDIT, name="audits/b")
    comparisons = compare_reports(Report((AUDIT, second)), Report((second, AUDIT)))
    assert [comparison.audit for comparison in comparisons] == ["audits/a", "audits/b"]
    assert {change.outcome for comparison in comparisons for change in comparison.changes} == {"same"}
    assert [comparison.regressed for comparison in comparisons] == [(), ()]


def test_the_only_audits_of_two_reports_are_compared_whatever_their_names() -> None:
    [comparison] = compare_reports(Report((AUDIT,)), Report((replace(AUDIT, name="moved"),)))
    assert comparison.audit == "moved"


def test_an_audit_that_is_missing_later_is_refused_by_name() -> None:
    second = replace(AUDIT, name="audits/b")
    with pytest.raises(DataError, match="audits/b is missing in the second"):
        compare_reports(Report((AUDIT, second)), Report((AUDIT, replace(AUDIT, name=""))))


def test_a_report_without_a_metric_of_what_is_released_is_refused() -> None:
    with pytest.raises(DataError, match="Figures of what ships were expected"):
        compare_reports(Report((AuditResult("2026", {}, {}),)), Report((AUDIT,)))


@pytest.mark.parametrize(
    ("metric", "concerns"),
    [
        (tracked_rate([1], 9), True),
        (replace(tracked_rate([1], 9), subject="teacher"), False),
        (replace(tracked_rate([1], 9), subject="baseline"), False),
        (tracked_reduction(2.0, [1], "a"), True),
        (replace(tracked_loss(2.0, "a"), subject="teacher"), False),
        (replace(replace(tracked_rate([1], 9), subject="teacher"), metric="share at risk"), True),
    ],
    ids=["student", "teacher", "baseline", "reduction", "teacher's loss", "set named teacher"],
)
def test_only_what_is_released_counts(metric: object, concerns: bool) -> None:
    assert concerns_release(metric) is concerns  # type: ignore[arg-type]


def test_everything_but_the_same_or_better_or_new_counts_against_a_release() -> None:
    before = [tracked_rate(range(40), 5000), tracked_loss(2.0, "a"), tracked_reduction(2.0, range(9), "a")]
    now = [
        tracked_rate(range(60), 5000, model="b"),
        replace(tracked_rate(range(60), 5000, model="b"), subject="teacher"),
        tracked_reduction(3.0, range(7), "b"),
    ]
    comparison = AuditComparison("audits/a", metric_changes(before, now))
    assert {change.metric: change.outcome for change in comparison.regressed} == {
        "memorization rate": "worse",
        "loss": "unused",
    }
