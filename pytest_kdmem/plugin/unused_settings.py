"""Settings that were named for a run and that none of its gates used: what they name was not judged."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pytest_kdmem.auditing.own_figures import compares_student
from pytest_kdmem.auditing.report import Report
from pytest_kdmem.auditing.schema import Gate
from pytest_kdmem.plugin.settings import Settings
from pytest_kdmem.report.sentences import overall_outcome
from pytest_kdmem.specs.roles import DATA_ROLES, MODEL_ROLES, ROLES

if TYPE_CHECKING:
    from pytest_kdmem.auditing.audit import Audit

THRESHOLDS = ("max_memorization_rate", "max_inheritance_ratio", "min_reduction", "max_predicted_risk")
# Settings that say what is measured or how it is judged. All others hold for whatever is measured.
TOKEN_FILES = ("token_dtype", "eos_id", "order")
CHAT = ("chat_columns", "chat_turns", "chat_roles", "answer_tokens", "chat_template")
READING = ("text_column", "form", "eos", "add_special_tokens", "tokenizer", *TOKEN_FILES, *CHAT)
MEASURING = (*READING, "sample", "seed", "group_column", "stratify", "stratum_sample")
BASES = {role: f"{role}_base" for role in MODEL_ROLES}
NAMING = (
    *ROLES,
    "students",
    *BASES.values(),
    *MEASURING,
    "labels_from",
    "predictor",
    "risk_threshold",
    "canaries",
    *THRESHOLDS,
)


def used_settings(audits: Iterable[Audit], tests: Iterable[pytest.Item]) -> set[str]:
    """Return the keys of the settings that this process's audits measured by, or asked for as thresholds; and the
    differences between run cards and audits that they accepted.
    """
    used = set[str]().union(*map(_measured_by, audits))
    asks_for_thresholds = any("thresholds" in getattr(test, "fixturenames", ()) for test in tests)
    return used.union(THRESHOLDS if asks_for_thresholds else ())


def _measured_by(audit: Audit) -> set[str]:
    """The keys of settings that what an audit measured came from: roles whose model or set was scored."""
    scores = audit.scores
    used = {role for role, model in audit.roles.items() if any(table.model == model for table in scores)}
    used |= {role for role in DATA_ROLES if any(table.training_set == getattr(audit, role) for table in scores)}
    if audit.has_predicted:
        used |= {"teacher", "baseline", "training_set", "labels_from", "predictor", "risk_threshold"}
    used |= {"canaries"} if audit.has_canaries else set()
    used |= audit.accepted_differences
    # Of several students only the adapters have the base that is set.
    used |= {BASES[role] for role, model in audit.roles.items() if role in used and model.base is not None}
    return used.union(MEASURING if used.intersection(DATA_ROLES) else ())


def with_unused_settings(report: Report, settings: Settings, used: Collection[str]) -> Report:
    """Return a report in which each setting that was named for this run and not used is a gate that does not pass, and
    accepted differences that no run card shows are warned of.

    What did not pass, or was not held, may be why a setting was not used, so only a report that would be a release is
    held against them.
    """
    if overall_outcome(report.audits) != "pass":
        return report
    unused = [key for key in NAMING if settings.overrides(key) and not _is_used(key, report, used)]
    first = report.audits[0]
    gates = tuple(_gate(settings.places[key], key, first.gates[0]) for key in unused)
    warnings = (*first.warnings, *_unused_acceptances(settings, used))
    return Report((replace(first, gates=(*first.gates, *gates), warnings=warnings), *report.audits[1:]))


def _unused_acceptances(settings: Settings, used: Collection[str]) -> list[str]:
    """A warning of differences of run cards that are accepted and were not found, as they would excuse a later one."""
    accepted = [name for name in (settings["accept_provenance"] or "").split(",") if name]
    if not (unused := [name for name in accepted if name not in used]):
        return []
    return [
        f"{settings.places['accept_provenance']} accepts {', '.join(unused)}, and no run card of this run differs so:"
        " leave it out, as it would accept a later difference in silence"
    ]


def _is_used(key: str, report: Report, used: Collection[str]) -> bool:
    # A student may be scored, and another model be compared.
    if key == "student":
        return any(map(compares_student, report.audits))
    if key == "students":
        of_students = [audit for audit in report.audits if audit.student]
        return bool(of_students) and all(map(compares_student, of_students))
    return key in used


def _gate(place: str, key: str, beside: Gate) -> Gate:
    fixture = "thresholds" if key in THRESHOLDS else "student" if key == "students" else key
    way_out = (
        f"let them use the fixture `{fixture}`"
        if key in (*ROLES, "students", *THRESHOLDS)
        else "let them measure by it"
    )
    reason = (
        f"{place} was expected to be used by a gate of this run, and none used it; {way_out}, or leave {place} out."
    )
    return Gate(place, beside.nodeid, "", None, None, None, "error", reason, path=beside.path, line=beside.line)
