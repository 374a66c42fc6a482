"""Sentences that all reports share: the verdict over all audits, and how figures read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pytest_kdmem.auditing.report import Report
from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.auditing.schema import Gate, ModelEntry
from pytest_kdmem.base.text import count
from pytest_kdmem.metrics.direction import HIGHER_IS_BETTER, Operator
from pytest_kdmem.metrics.estimate import SIGN, Estimate

UNKNOWN = "–"


def precision_phrase(model: ModelEntry) -> str:
    """In which dtype a model's verdicts were decided, after which screening, and what is ambiguous in it."""
    ambiguous = f"ambiguous within {model.tolerance:.1g}"
    if (screening := model.screening) is None:
        return f"{model.dtype}, {ambiguous}"
    if not screening.screened:
        return f"{model.dtype}, as it does not run in {screening.dtype}, {ambiguous}"
    widened = f", band widened {count(screening.widened)} ×" if screening.widened else ""
    return (
        f"{count(screening.screened)} screened in {screening.dtype}, {count(screening.decided)} decided in"
        f" {model.dtype} ({count(screening.changed)} changed{widened}), {ambiguous}"
    )


def unaudited_phrase(turns: int) -> str:
    """How many turns of conversations were not looked at, and the setting that audits them; empty if there are none."""
    if not turns:
        return ""
    return (
        f"{count(turns)} turns of users, systems and tools not audited (--kdmem-chat-roles=all audits them), nor"
        " shorter ones"
    )


def overall_outcome(audits: Sequence[AuditResult]) -> Literal["pass", "fail", "inconclusive"]:
    """Return the outcome of all audits together.

    It is inconclusive if a test of an audit compared no estimate, or was not run.
    """
    if any(audit.failed for audit in audits):
        return "fail"
    return "pass" if all(map(_is_held, audits)) else "inconclusive"


def _compared_an_estimate(audit: AuditResult) -> bool:
    return any(gate.estimate is not None for gate in audit.gates)


def _is_held(audit: AuditResult) -> bool:
    """Whether every test of an audit was run and compared an estimate."""
    is_whole = not audit.not_run and not audit.narrowed
    return is_whole and _compared_an_estimate(audit) and not any(map(compared_nothing, audit.gates))


def compared_nothing(gate: Gate) -> bool:
    """Whether a gate is a test that passed without comparing an estimate, or a comparison that it never made."""
    return gate.outcome == "pass" and gate.estimate is None


def verdict_sentence(report: Report) -> str:
    """Return whether the audited models may ship, and how many gates say so."""
    outcome = overall_outcome(report.audits)
    gates, failed = sum(len(audit.gates) for audit in report.audits), len(report.failed)
    not_run = sum(len(audit.not_run) for audit in report.audits)
    if outcome == "fail":
        is_undecided = all(gate.outcome == "inconclusive" for gate in report.failed)
        what = "could not be decided" if is_undecided else "did not pass"
        return f"Do not ship: {count(failed)} of {count(gates)} gates {what}{_not_run_clause(not_run)}"
    if outcome == "inconclusive":
        return f"Not decided: {_undecided_reason(report, gates, not_run)}"
    return f"May ship: all {count(gates)} gates pass" if gates > 1 else "May ship: its one gate passes"


def _undecided_reason(report: Report, gates: int, not_run: int) -> str:
    audits = report.audits
    reason = f"{count(gates)} of {count(gates + not_run)} gates run{', all pass' * bool(gates)}"
    audits_without = sum(not _compared_an_estimate(audit) for audit in audits)
    tests_without = sum(compared_nothing(gate) for audit in audits for gate in audit.gates)
    if audits_without and gates:
        reason += "; no estimate was compared"
        reason += f" in {count(audits_without)} of {count(len(audits))} audits" if len(audits) > 1 else ""
    elif tests_without:
        reason += f"; {count(tests_without)} of them compared no estimate"
    return reason + ("; not all tests were asked for" if any(audit.narrowed for audit in audits) else "")


def _not_run_clause(not_run: int) -> str:
    return f"; {count(not_run)} not run" if not_run else ""


def gate_summary(audit: AuditResult) -> str:
    """Return in a few words how many gates of one audit pass."""
    if audit.failed:
        return f"{count(len(audit.failed))} not passed"
    passed = "all pass" if _compared_an_estimate(audit) else "no estimate compared"
    without = sum(map(compared_nothing, audit.gates))
    passed += f", {count(without)} of them compared no estimate" if without and _compared_an_estimate(audit) else ""
    return passed + _not_run_clause(len(audit.not_run))


def figure_text(estimate: Estimate) -> str:
    """Return a value, with the bound that a gate would read if that is another number."""
    operator: Operator = ">=" if estimate.metric in HIGHER_IS_BETTER else "<="
    value, bound = estimate.format_value(estimate.value), estimate.bound_for(operator)
    is_exact = estimate.low == estimate.high or value == "undefined"
    return value if is_exact else f"{value} [{SIGN[operator]} {estimate.format_value(bound)}]"
