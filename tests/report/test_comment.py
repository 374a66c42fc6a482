"""The comment on a pull request: its verdict, figures before and now, and its greatest length."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_kdmem.auditing.ranges import check_ranges
from pytest_kdmem.auditing.report import Report
from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.report.comment import MAX_BYTES, CommentContext, marker, render
from tests.report.any_report import random_reports
from tests.report.audits import FAILING, PASSING, audit_with_examples, full_audit, gate, rate, saved_report

CONTEXT = CommentContext(name="memorization-audit")


def green(**changed: object) -> Report:
    return Report((full_audit(gates=(PASSING,), not_run=(), metric_changes=(), inheritance=None, **changed),))


def is_possible(audit: AuditResult) -> bool:
    """Whether all numbers of an audit are some that an audit makes."""
    try:
        check_ranges(audit)
    except ValueError:
        return False
    return True


def verdict(comment: str) -> str:
    return next(line for line in comment.splitlines() if line.startswith("## "))


def test_a_comment_begins_with_its_marker_and_the_verdict() -> None:
    comment = render(green(), CONTEXT)
    assert comment.startswith("<!-- pytest-kdmem: memorization-audit -->\n## ✅ May ship")
    assert marker("a --> b") == "<!-- pytest-kdmem: a --%3E b -->"


@pytest.mark.parametrize("code", [1, 3, 10, 137])
def test_a_run_that_failed_is_no_release_whatever_its_report_says(code: int) -> None:
    failed = verdict(render(green(), replace(CONTEXT, exit_code=code)))
    assert failed == f"## ❌ Do not ship: the run ended with exit code {code}, although all gates of the audit pass"
    assert verdict(render(green(), replace(CONTEXT, exit_code=0))).startswith("## ✅ May ship")
    assert verdict(render(None, replace(CONTEXT, exit_code=code))) == (
        f"## ❌ Do not ship: the audit ended with exit code {code} and wrote no report"
    )


def test_an_exit_code_of_0_makes_no_release_of_gates_that_did_not_pass() -> None:
    assert verdict(render(Report((full_audit(),)), replace(CONTEXT, exit_code=0))).startswith("## ❌ Do not ship")
    undecided = Report((full_audit(gates=(PASSING,)),))  # a test was not run
    assert verdict(render(undecided, replace(CONTEXT, exit_code=0))).startswith("## ⚠️ Not decided")


def test_the_first_warnings_stand_in_a_comment_and_what_was_too_short() -> None:
    data = replace(full_audit().training_set, too_short=99, too_short_distinct=27, too_short_copies=24, left_out=3)
    shown = render(green(training_set=data, warnings=tuple(f"warning {name}" for name in "abcde")), CONTEXT)
    assert "**Warnings**\n\n- warning a\n- warning b\n- warning c\n- … and 2 more\n" in shown
    assert "warning d" not in shown
    too_short = "27 examples that are too short (99 rows, one stands 24 times)"
    sampled = "examples that were not drawn for the sample"
    assert f"\nNot looked at: {sampled}; {too_short}; 3 shorter documents that were left out\n" in shown
    whole = replace(data, too_short=0, left_out=0, exhaustive=True)
    silent = render(green(training_set=whole, warnings=()), CONTEXT)
    assert "Warnings" not in silent
    assert "Not looked at" not in silent


def test_accepted_figures_are_shown_before_those_of_now() -> None:
    comment = render(Report((full_audit(),)), replace(CONTEXT, before=saved_report("green.json")))
    assert "| figure | before (accepted figures) | now | change |" in comment
    assert "| 1.00% " in comment
    assert "worse: why" in comment


def test_figures_of_the_base_branch_are_shown_where_there_are_no_accepted_ones() -> None:
    before = green(memorization={"student": rate(10, 1000), "teacher": rate(67, 1000, "teacher")})
    lines = render(green(), replace(CONTEXT, before=before)).splitlines()
    assert "| figure | before (base branch) | now | change |" in lines
    [row] = [line for line in lines if line.startswith("| memorization rate of student")]
    assert "(10 of 1 000) | 1.90%" in row


def test_figures_that_cannot_be_compared_say_why() -> None:
    now = green()
    training_set = replace(now.audits[0].training_set, digest="other")
    comment = render(now, replace(CONTEXT, before=green(training_set=training_set)))
    assert "refused: another training set than was accepted" in comment


def test_without_figures_before_there_is_one_column_of_values() -> None:
    other = Report((full_audit(name="b"), full_audit(name="c")))
    for before in (None, other):
        comment = render(Report((full_audit(name="a", metric_changes=()), full_audit(name="d", metric_changes=()))),
                         replace(CONTEXT, before=before))  # fmt: skip
        assert comment.count("| figure | value |") == 2
        assert "### a" in comment


def test_the_link_the_commit_and_the_problem_are_below() -> None:
    context = replace(
        CONTEXT, link="https://example.org/audit.html", commit="0123456789abcdef", before_problem="It is `broken`."
    )
    footer = render(None, replace(context, exit_code=1))
    assert "No figures before are shown: It is \\`broken\\`." in footer
    assert (
        "[HTML report](https://example.org/audit.html) · commit `0123456789ab` · audit `memorization-audit`" in footer
    )


def test_a_comment_names_no_example_and_shows_no_text() -> None:
    audit = full_audit()
    shown = audit_with_examples(prefix=("SECRET",) * 3, suffix=("SECRET",) * 3)
    comment = render(Report((replace(audit, examples=shown.examples),)), CONTEXT)
    assert "SECRET" not in comment
    assert "100, 101" not in comment  # ids of inherited examples


def test_the_longest_report_fits_and_shows_failed_gates_first() -> None:
    gates = tuple(gate(f"test_{'x' * 150}_{number}", rate(1, 1000, "baseline"), "<=", 0.01) for number in range(2000))
    comment = render(Report((full_audit(gates=(*gates, FAILING)),)), CONTEXT)
    assert len(comment.encode()) <= MAX_BYTES
    assert "student recites little" in comment
    assert "… and 1 901 more" in comment
    audits = tuple(full_audit(name="y" * 1900 + str(number)) for number in range(100))
    assert len(render(Report(audits), replace(CONTEXT, name="z" * 40_000)).encode()) <= MAX_BYTES + 40_000


def test_every_report_has_a_comment_that_is_one_markdown_text() -> None:
    for report in random_reports():
        # An earlier report is read from a file, of which numbers that no audit makes are refused.
        possible = tuple(audit for audit in report.audits if is_possible(audit))
        comment = render(report, replace(CONTEXT, before=Report(possible) if possible else None))
        assert comment.startswith(marker(CONTEXT.name))
        assert "<script" not in comment.lower()
        assert comment.count("<!--") == 1
