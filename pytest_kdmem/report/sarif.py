"""Renders a report as SARIF 2.1.0, with a result for each gate that did not pass."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from pytest_kdmem.auditing.report import Report
from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.auditing.schema import Gate
from pytest_kdmem.base.typed_json import to_json
from pytest_kdmem.metrics.estimate import Estimate
from pytest_kdmem.report.gate_text import further_parts
from pytest_kdmem.report.sanitize import sanitize
from pytest_kdmem.report.short_names import with_short_names

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
NOT_HELD = "not-held"
# Marks that a SARIF viewer reads as the middle of a link, or as the start of a placeholder.
ACTIVE_MARKS = re.compile(r"\](?=\()|\{(?=\d)")


def render(report: Report) -> str:
    """Return strict JSON with a run for each audit."""
    content = {"$schema": SCHEMA, "version": "2.1.0", "runs": [_run(audit) for audit in report.audits]}
    return json.dumps(content, indent=2, ensure_ascii=True, allow_nan=False) + "\n"


def _run(audit: AuditResult) -> dict[str, Any]:
    rules = [*sorted({_rule_id(gate) for gate in audit.gates} - {NOT_HELD}), NOT_HELD]
    version = audit.versions.get("pytest-kdmem")
    driver = {"name": "pytest-kdmem", "rules": [_rule(rule_id) for rule_id in rules]}
    invocation = {
        "executionSuccessful": not any(gate.outcome == "error" for gate in audit.gates) and not audit.not_run,
        "toolExecutionNotifications": [
            {"level": "warning", "message": {"text": _message(f"not run: {nodeid}")}} for nodeid in audit.not_run
        ],
    }
    return {
        "tool": {"driver": driver | ({"version": sanitize(version)} if version else {})},
        "automationDetails": {"id": "/".join(["pytest-kdmem", *filter(None, [sanitize(audit.name)]), ""])},
        "invocations": [invocation],
        "results": [
            _result(gate, rules.index(_rule_id(gate)), fingerprint)
            for gate, fingerprint in zip(with_short_names(audit).gates, _fingerprints(audit), strict=True)
            if gate.outcome != "pass"
        ],
    }


def _rule_id(gate: Gate) -> str:
    metric = sanitize(gate.metric).replace(" ", "-") if gate.estimate is not None else ""
    return metric or NOT_HELD


def _rule(rule_id: str) -> dict[str, Any]:
    description = f"The {rule_id.replace('-', ' ')} is not shown to meet its threshold."
    if rule_id == NOT_HELD:
        description = "A test of an audit failed or ended in an error, and no comparison explains it."
    return {
        "id": rule_id,
        "shortDescription": {"text": _message(description)},
        "defaultConfiguration": {"level": "error"},
    }


def _result(gate: Gate, rule_index: int, fingerprint: str) -> dict[str, Any]:
    return {
        "ruleId": _rule_id(gate),
        "ruleIndex": rule_index,
        "level": "error",
        "kind": "fail",
        "message": {"text": _message(gate.reason, *further_parts(gate), gate.next_step) or gate.outcome},
        "locations": _locations(gate),
        "partialFingerprints": {"gate/v1": fingerprint},
        "properties": {
            "outcome": gate.outcome,
            "operator": gate.operator,
            "estimate": _estimate(gate.estimate),
            "threshold": _estimate(gate.threshold),
            "command": sanitize(gate.command),
        },
    }


def _locations(gate: Gate) -> list[dict[str, Any]]:
    """Return the gate's file and line; nothing if they are unknown or the file is outside the root."""
    path = PurePosixPath(sanitize(gate.path))
    if not gate.path or path.is_absolute() or ".." in path.parts:
        return []
    location: dict[str, Any] = {"artifactLocation": {"uri": quote(str(path)), "uriBaseId": "%SRCROOT%"}}
    return [{"physicalLocation": location | ({"region": {"startLine": gate.line}} if gate.line > 0 else {})}]


def _estimate(estimate: Estimate | float | None) -> Any:
    content = to_json(estimate)
    if isinstance(content, dict):
        return {name: sanitize(value) if isinstance(value, str) else value for name, value in content.items()}
    return content


def _message(*sentences: str) -> str:
    text = "\n".join(sanitize(sentence) for sentence in sentences if sentence)
    return ACTIVE_MARKS.sub(r"\g<0> ", text)


def _fingerprints(audit: AuditResult) -> list[str]:
    """Return a fingerprint of each gate: the same in every run, and different for each comparison of a test."""
    repeats: Counter[str] = Counter()
    fingerprints = []
    for gate in audit.gates:
        subject = gate.estimate.subject if gate.estimate is not None else ""
        reference = gate.threshold.subject if isinstance(gate.threshold, Estimate) else ""
        comparison = json.dumps([audit.name, gate.nodeid, gate.metric, subject, gate.operator, reference])
        repeats[comparison] += 1
        fingerprints.append(hashlib.sha256(f"{comparison}{repeats[comparison]}".encode()).hexdigest()[:32])
    return fingerprints
