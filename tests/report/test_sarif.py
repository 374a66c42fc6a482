"""The SARIF report is valid, points to the gates' lines, and gives a gate the same fingerprint in every run."""

from __future__ import annotations

import json
import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import jsonschema
import pytest

from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.report.sanitize import sanitize
from pytest_kdmem.report.sarif import render
from tests.report.any_report import random_reports
from tests.report.audits import (
    BROKEN,
    FAILING,
    PASSING,
    UNDECIDED,
    each_saved_report,
    full_audit,
    gate,
    rate,
    render_audits,
    render_saved,
    saved_report,
)


def refuse_constant(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


def parse_strict(text: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(text, parse_constant=refuse_constant)
    json.dumps(content, ensure_ascii=False).encode()
    return content


def runs(*audits: AuditResult) -> list[dict[str, Any]]:
    sarif_runs: list[dict[str, Any]] = parse_strict(render_audits(render, *audits))["runs"]
    return sarif_runs


@pytest.fixture(scope="session")
def schema() -> Any:
    path = Path(os.environ.get("KDMEM_SCHEMAS", "")) / "sarif-2.1.0-rtm.5.json"
    if not path.is_file():
        pytest.skip("no schema of SARIF: .ci/schemas FOLDER fetches it, and KDMEM_SCHEMAS names the folder")
    content = json.loads(path.read_text(encoding="utf-8"))
    kind = jsonschema.validators.validator_for(content)
    kind.check_schema(content)
    return kind(content, format_checker=kind.FORMAT_CHECKER)


def test_a_gate_that_did_not_pass_is_a_result_at_its_line() -> None:
    (run,) = runs(full_audit())
    assert [result["message"]["text"].splitlines()[0] for result in run["results"]] == [
        FAILING.reason, UNDECIDED.reason, BROKEN.reason,
    ]  # fmt: skip
    first = run["results"][0]
    assert first["locations"] == [
        {
            "physicalLocation": {
                "artifactLocation": {"uri": "audits/test_a.py", "uriBaseId": "%SRCROOT%"},
                "region": {"startLine": 12},
            }
        }
    ]
    assert first["properties"]["estimate"]["value"] == 0.019
    assert first["properties"]["threshold"] == 0.01
    assert {result["level"] for result in run["results"]} == {"error"}
    assert run["results"][2]["locations"] == []


def test_there_is_a_rule_for_each_metric_and_one_for_broken_gates() -> None:
    (run,) = runs(
        full_audit(gates=(PASSING, gate("test_k", replace(rate(1, 9), metric="inheritance ratio"), "<=", 0.1), BROKEN))
    )
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert rules == ["inheritance-ratio", "memorization-rate", "not-held"]
    for result in run["results"]:
        assert rules[result["ruleIndex"]] == result["ruleId"]
    assert run["tool"]["driver"]["version"] == "0.1.0"


def test_a_run_is_successful_only_if_every_gate_was_held() -> None:
    successful = [run["invocations"][0]["executionSuccessful"] for run in runs(
        full_audit(name="held", gates=(PASSING, FAILING, UNDECIDED), not_run=()),
        full_audit(name="broken", gates=(BROKEN,), not_run=()),
        full_audit(name="left", gates=(PASSING,)),
    )]  # fmt: skip
    assert successful == [True, False, False]
    (run,) = runs(full_audit())
    assert "audits/test_a.py::test_left" in run["invocations"][0]["toolExecutionNotifications"][0]["message"]["text"]


def test_every_audit_is_a_run_of_its_own_category() -> None:
    assert [run["automationDetails"]["id"] for run in runs(full_audit(), full_audit(name=""))] == [
        "pytest-kdmem/audits/a/",
        "pytest-kdmem/",
    ]


def fingerprints(*audits: AuditResult) -> list[str]:
    return [result["partialFingerprints"]["gate/v1"] for run in runs(*audits) for result in run["results"]]


def test_the_fingerprint_of_a_gate_does_not_depend_on_its_figures() -> None:
    later = gate(FAILING.name, rate(77, 1000), "<=", 0.02, line=99)
    assert fingerprints(full_audit(gates=(FAILING,))) == fingerprints(
        full_audit(gates=(PASSING, later), created="2027")
    )


def test_different_comparisons_have_different_fingerprints() -> None:
    first = gate("test_a", rate(19, 1000), "<=", 0.01)
    gates = (
        first, replace(first, threshold=0.001), replace(first, nodeid="b"), replace(first, metric="m"), BROKEN,
        replace(first, estimate=rate(19, 1000, "teacher")), replace(first, threshold=rate(1, 1000, "baseline")),
        replace(first, operator="<"),
    )  # fmt: skip
    prints = fingerprints(full_audit(gates=gates), full_audit(name="b", gates=gates))
    assert len(set(prints)) == len(prints) == 16


@pytest.mark.parametrize("path", ["/etc/passwd", "../x.py", "a/../../x.py", "//host/x"])
def test_a_path_outside_the_root_is_left_out(path: str) -> None:
    (run,) = runs(full_audit(gates=(replace(FAILING, path=path),)))
    assert run["results"][0]["locations"] == []


@pytest.mark.parametrize("path", ["a b.py", "ä.py", "a:b.py", "100%.py", "a#b?c.py", "x\\y.py"])
def test_a_path_is_a_relative_address(path: str) -> None:
    (run,) = runs(full_audit(gates=(replace(FAILING, path=path),)))
    uri = run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert unquote(uri) == path
    assert uri.isascii()
    assert not set(uri) & set(" :#?\\")


@pytest.mark.parametrize("text", ["[x](http://evil.example)", "[a](1)", "{0}", "{12}"])
def test_a_message_holds_no_link_and_no_placeholder(text: str) -> None:
    (run,) = runs(full_audit(gates=(replace(FAILING, reason=text),)))
    message = run["results"][0]["message"]["text"]
    assert "](" not in message
    assert "{0}" not in message
    assert "{12}" not in message
    assert message.replace(" ", "").startswith(text.replace(" ", ""))


def test_infinity_is_a_word_and_nan_is_null() -> None:
    endless = replace(rate(0, 0), high=math.inf)
    (run,) = runs(full_audit(gates=(replace(FAILING, estimate=endless, threshold=math.nan),)))
    properties = run["results"][0]["properties"]
    assert (properties["estimate"]["value"], properties["estimate"]["high"], properties["threshold"]) == (
        None,
        "inf",
        None,
    )


@each_saved_report
def test_saved_reports_are_valid(saved: str, schema: Any) -> None:
    content = parse_strict(render_saved(saved, ".sarif"))
    schema.validate(content)
    assert sum(len(run["results"]) for run in content["runs"]) == len(saved_report(saved).failed)


def test_any_report_is_strict_json() -> None:
    for report in random_reports():
        content = parse_strict(render(report))
        for run, audit in zip(content["runs"], report.audits, strict=True):
            commands = [result["properties"]["command"] for result in run["results"]]
            assert commands == [sanitize(failed.command) for failed in audit.failed]
        prints = [result["partialFingerprints"]["gate/v1"] for run in content["runs"] for result in run["results"]]
        assert len(set(prints)) == len(prints)


def test_any_report_is_valid(schema: Any) -> None:
    for report in random_reports():
        schema.validate(parse_strict(render(report)))
