"""The SARIF report is valid, points to the audits' lines, and knows a gate again."""

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
from hypothesis import given

from pytest_kdmem.audit.report import Report, read_report
from pytest_kdmem.audit.result import AuditResult
from pytest_kdmem.report.sanitize import sanitize
from pytest_kdmem.report.sarif import render
from tests.report.any_report import (
    BROKEN,
    FAILING,
    PASSING,
    UNDECIDED,
    gate,
    of_reports,
    rate,
    rendered,
    reports,
    saved,
    whole,
)


def refused(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


def strict(text: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(text, parse_constant=refused)
    json.dumps(content, ensure_ascii=False).encode()
    return content


def runs(*audits: AuditResult) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = strict(rendered(render, *audits))["runs"]
    return found


@pytest.fixture(scope="session")
def schema() -> Any:
    path = Path(os.environ.get("KDMEM_SCHEMAS", "")) / "sarif-2.1.0-rtm.5.json"
    if not path.is_file():
        pytest.skip("no schema of SARIF: .ci/schemas FOLDER fetches it, and KDMEM_SCHEMAS names the folder")
    content = json.loads(path.read_text(encoding="utf-8"))
    kind = jsonschema.validators.validator_for(content)
    kind.check_schema(content)
    return kind(content, format_checker=kind.FORMAT_CHECKER)


def test_what_did_not_pass_is_a_result_at_its_line() -> None:
    (run,) = runs(whole())
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


def test_there_is_a_rule_for_each_metric_and_one_for_what_broke() -> None:
    (run,) = runs(
        whole(gates=(PASSING, gate("test_k", replace(rate(1, 9), metric="inheritance ratio"), "<=", 0.1), BROKEN))
    )
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert rules == ["inheritance-ratio", "memorization-rate", "not-held"]
    for result in run["results"]:
        assert rules[result["ruleIndex"]] == result["ruleId"]
    assert run["tool"]["driver"]["version"] == "0.1.0"


def test_whether_all_was_held_is_told() -> None:
    held = [run["invocations"][0]["executionSuccessful"] for run in runs(
        whole(name="held", gates=(PASSING, FAILING, UNDECIDED), not_run=()),
        whole(name="broken", gates=(BROKEN,), not_run=()),
        whole(name="left", gates=(PASSING,)),
    )]  # fmt: skip
    assert held == [True, False, False]
    (run,) = runs(whole())
    assert "audits/test_a.py::test_left" in run["invocations"][0]["toolExecutionNotifications"][0]["message"]["text"]


def test_every_audit_is_a_run_of_its_own_category() -> None:
    assert [run["automationDetails"]["id"] for run in runs(whole(), whole(name=""))] == [
        "pytest-kdmem/audits/a/",
        "pytest-kdmem/",
    ]


def fingerprints(*audits: AuditResult) -> list[str]:
    return [result["partialFingerprints"]["gate/v1"] for run in runs(*audits) for result in run["results"]]


def test_a_gate_is_known_again_whatever_it_finds() -> None:
    later = gate(FAILING.name, rate(77, 1000), "<=", 0.02, line=99)
    assert fingerprints(whole(gates=(FAILING,))) == fingerprints(whole(gates=(PASSING, later), created="2027"))


def test_gates_are_told_apart() -> None:
    one = gate("test_a", rate(19, 1000), "<=", 0.01)
    gates = (
        one, replace(one, threshold=0.001), replace(one, nodeid="b"), replace(one, metric="m"), BROKEN,
        replace(one, estimate=rate(19, 1000, "teacher")), replace(one, threshold=rate(1, 1000, "baseline")),
        replace(one, operator="<"),
    )  # fmt: skip
    found = fingerprints(whole(gates=gates), whole(name="b", gates=gates))
    assert len(set(found)) == len(found) == 16


@pytest.mark.parametrize("path", ["/etc/passwd", "../x.py", "a/../../x.py", "//host/x"])
def test_a_place_outside_the_root_is_none(path: str) -> None:
    (run,) = runs(whole(gates=(replace(FAILING, path=path),)))
    assert run["results"][0]["locations"] == []


@pytest.mark.parametrize("path", ["a b.py", "ä.py", "a:b.py", "100%.py", "a#b?c.py", "x\\y.py"])
def test_a_place_is_a_relative_address(path: str) -> None:
    (run,) = runs(whole(gates=(replace(FAILING, path=path),)))
    uri = run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert unquote(uri) == path
    assert uri.isascii()
    assert not set(uri) & set(" :#?\\")


@pytest.mark.parametrize("text", ["[x](http://evil.example)", "[a](1)", "{0}", "{12}"])
def test_a_message_holds_no_link_and_no_placeholder(text: str) -> None:
    (run,) = runs(whole(gates=(replace(FAILING, reason=text),)))
    said = run["results"][0]["message"]["text"]
    assert "](" not in said
    assert "{0}" not in said
    assert "{12}" not in said
    assert said.replace(" ", "").startswith(text.replace(" ", ""))


def test_figures_that_json_has_no_number_for_are_words() -> None:
    endless = replace(rate(0, 0), high=math.inf)
    (run,) = runs(whole(gates=(replace(FAILING, estimate=endless, threshold=math.nan),)))
    told = run["results"][0]["properties"]
    assert (told["estimate"]["value"], told["estimate"]["high"], told["threshold"]) == (None, "inf", None)


@saved
def test_saved_reports_are_valid(path: Path, schema: Any) -> None:
    report = read_report(path)
    content = strict(render(report))
    schema.validate(content)
    assert sum(len(run["results"]) for run in content["runs"]) == len(report.failed)


@given(reports())
@of_reports
def test_any_report_is_strict_json(report: Report) -> None:
    content = strict(render(report))
    for run, audit in zip(content["runs"], report.audits, strict=True):
        assert len(run["results"]) == len(audit.failed)
        for result, one in zip(run["results"], audit.failed, strict=True):
            assert result["properties"]["command"] == sanitize(one.command)
    prints = [result["partialFingerprints"]["gate/v1"] for run in content["runs"] for result in run["results"]]
    assert len(set(prints)) == len(prints)


@given(reports())
@of_reports
def test_any_report_is_valid(schema: Any, report: Report) -> None:
    schema.validate(strict(render(report)))
