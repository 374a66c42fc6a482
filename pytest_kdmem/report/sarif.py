"""Report → SARIF 2.1.0: a result for each gate that does not let its model ship, at its audit's line."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from pytest_kdmem.audit.report import Report
from pytest_kdmem.audit.result import AuditResult
from pytest_kdmem.audit.schema import Gate
from pytest_kdmem.base.typed_json import to_json
from pytest_kdmem.metrics.estimate import Estimate
from pytest_kdmem.report.sanitize import sanitize

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
NOT_HELD = "not-held"
# What a message would make of itself: a link's brackets, a placeholder's braces.
ACTIVE = re.compile(r"\](?=\()|\{(?=\d)")


def render(report: Report) -> str:
    """Strict JSON; a run for each audit."""
    content = {"$schema": SCHEMA, "version": "2.1.0", "runs": [_run(audit) for audit in report.audits]}
    return json.dumps(content, indent=2, ensure_ascii=True, allow_nan=False) + "\n"


def _run(audit: AuditResult) -> dict[str, Any]:
    rules = [*sorted({_rule(gate) for gate in audit.gates} - {NOT_HELD}), NOT_HELD]
    version = audit.versions.get("pytest-kdmem")
    driver = {"name": "pytest-kdmem", "rules": [_described(rule) for rule in rules]}
    invocation = {
        "executionSuccessful": not any(gate.outcome == "error" for gate in audit.gates) and not audit.not_run,
        "toolExecutionNotifications": [
            {"level": "warning", "message": {"text": _said(f"not run: {nodeid}")}} for nodeid in audit.not_run
        ],
    }
    prints = _fingerprints(audit)
    return {
        "tool": {"driver": driver | ({"version": sanitize(version)} if version else {})},
        "automationDetails": {"id": "/".join(["pytest-kdmem", *filter(None, [sanitize(audit.name)]), ""])},
        "invocations": [invocation],
        "results": [
            _result(gate, rules.index(_rule(gate)), told)
            for gate, told in zip(audit.gates, prints, strict=True)
            if gate.outcome != "pass"
        ],
    }


def _rule(gate: Gate) -> str:
    return sanitize(gate.metric).replace(" ", "-") or NOT_HELD if gate.estimate is not None else NOT_HELD


def _described(rule: str) -> dict[str, Any]:
    said = f"The {rule.replace('-', ' ')} is not shown to meet its threshold."
    if rule == NOT_HELD:
        said = "A test of an audit failed or broke, and no comparison tells why."
    return {"id": rule, "shortDescription": {"text": _said(said)}, "defaultConfiguration": {"level": "error"}}


def _result(gate: Gate, rule: int, fingerprint: str) -> dict[str, Any]:
    return {
        "ruleId": _rule(gate),
        "ruleIndex": rule,
        "level": "error",
        "kind": "fail",
        "message": {"text": _said(gate.reason, gate.next_step) or gate.outcome},
        "locations": _locations(gate),
        "partialFingerprints": {"gate/v1": fingerprint},
        "properties": {
            "outcome": gate.outcome,
            "operator": gate.operator,
            "estimate": _figures(gate.estimate),
            "threshold": _figures(gate.threshold),
            "command": sanitize(gate.command),
        },
    }


def _locations(gate: Gate) -> list[dict[str, Any]]:
    """Where the gate stands, if that is told and lies below the root."""
    path = PurePosixPath(sanitize(gate.path))
    if not gate.path or path.is_absolute() or ".." in path.parts:
        return []
    place: dict[str, Any] = {"artifactLocation": {"uri": quote(str(path)), "uriBaseId": "%SRCROOT%"}}
    return [{"physicalLocation": place | ({"region": {"startLine": gate.line}} if gate.line > 0 else {})}]


def _figures(figure: Estimate | float | None) -> Any:
    content = to_json(figure)
    if isinstance(content, dict):
        return {name: sanitize(value) if isinstance(value, str) else value for name, value in content.items()}
    return content


def _said(*sentences: str) -> str:
    return ACTIVE.sub(r"\g<0> ", "\n".join(sanitize(sentence) for sentence in sentences if sentence))


def _fingerprints(audit: AuditResult) -> list[str]:
    """Of each gate, the same in every run, and another for each comparison that a test makes."""
    met: Counter[str] = Counter()
    prints = []
    for gate in audit.gates:
        subject = gate.estimate.subject if gate.estimate is not None else ""
        against = gate.threshold.subject if isinstance(gate.threshold, Estimate) else ""
        told = json.dumps([audit.name, gate.nodeid, gate.metric, subject, gate.operator, against])
        met[told] += 1
        prints.append(hashlib.sha256(f"{told}{met[told]}".encode()).hexdigest()[:32])
    return prints
