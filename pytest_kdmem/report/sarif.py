"""Report → SARIF 2.1.0: a result for each gate that does not let its model ship, at its audit's line."""

from __future__ import annotations

import hashlib
import json
from typing import Any
from urllib.parse import quote

from pytest_kdmem.estimate import Estimate
from pytest_kdmem.report.plain import plain
from pytest_kdmem.report.record import Report
from pytest_kdmem.result import AuditResult
from pytest_kdmem.result_entries import Gate
from pytest_kdmem.typed_json import to_json

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
NOT_HELD = "not-held"
DESCRIPTIONS = {NOT_HELD: "An audit could not be held, so that nothing is known of the model."}


def render(report: Report) -> str:
    """Strict JSON; a run for each audit."""
    content = {"$schema": SCHEMA, "version": "2.1.0", "runs": [_run(audit) for audit in report.audits]}
    return json.dumps(content, indent=2, ensure_ascii=True, allow_nan=False) + "\n"


def _run(audit: AuditResult) -> dict[str, Any]:
    rules = sorted({_rule(gate) for gate in audit.failed})
    return {
        "tool": {
            "driver": {
                "name": "pytest-kdmem",
                "version": plain(audit.versions.get("pytest-kdmem", "unknown")),
                "rules": [_described(rule) for rule in rules],
            }
        },
        "automationDetails": {"id": f"pytest-kdmem/{plain(audit.name)}/"},
        "invocations": [
            {
                "executionSuccessful": not any(gate.outcome == "error" for gate in audit.gates) and not audit.not_run,
                "toolExecutionNotifications": [
                    {"level": "warning", "message": {"text": plain(f"not run: {nodeid}")}} for nodeid in audit.not_run
                ],
            }
        ],
        "results": [_result(gate, rules.index(_rule(gate))) for gate in audit.failed],
    }


def _rule(gate: Gate) -> str:
    return plain(gate.metric).replace(" ", "-") if gate.estimate is not None else NOT_HELD


def _described(rule: str) -> dict[str, Any]:
    said = DESCRIPTIONS.get(rule, f"The {rule.replace('-', ' ')} does not meet its threshold.")
    return {"id": rule, "shortDescription": {"text": said}, "defaultConfiguration": {"level": "error"}}


def _result(gate: Gate, rule: int) -> dict[str, Any]:
    said = " ".join(plain(one) for one in (gate.reason, gate.next_step) if one)
    found: dict[str, Any] = {
        "ruleId": _rule(gate),
        "ruleIndex": rule,
        "level": "error",
        "kind": "fail",
        "message": {"text": said or gate.outcome},
        "partialFingerprints": {"gate/v1": _fingerprint(gate)},
        "properties": {
            "outcome": gate.outcome,
            "operator": gate.operator,
            "estimate": _harmless(to_json(gate.estimate)),
            "threshold": _harmless(to_json(gate.threshold)),
            "command": plain(gate.command),
        },
    }
    if gate.path:
        place: dict[str, Any] = {"artifactLocation": {"uri": quote(plain(gate.path)), "uriBaseId": "%SRCROOT%"}}
        if gate.line:
            place["region"] = {"startLine": gate.line}
        found["locations"] = [{"physicalLocation": place}]
    return found


def _harmless(content: Any) -> Any:
    """Strings of an estimate made plain."""
    if isinstance(content, dict):
        return {key: plain(value) if isinstance(value, str) else value for key, value in content.items()}
    return content


def _fingerprint(gate: Gate) -> str:
    """The same in every run, and another for each comparison that a test makes."""
    subject = gate.estimate.subject if gate.estimate is not None else ""
    against = gate.threshold.subject if isinstance(gate.threshold, Estimate) else ""
    told = "\0".join((gate.nodeid, gate.metric, subject, gate.operator or "", against))
    return hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()[:32]
