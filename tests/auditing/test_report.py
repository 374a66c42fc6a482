"""Reports are read as they were written; what is no report is refused in one sentence that names the file."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_kdmem.auditing.report import Report, read_report
from pytest_kdmem.auditing.result import REQUIRED, AuditResult
from pytest_kdmem.auditing.schema_checks import ConfirmationEntry
from pytest_kdmem.errors import DataError
from pytest_kdmem.report.formats import write_report
from tests.auditing.estimates import rate
from tests.auditing.results import assert_same, full_result

CONFIRMED = full_result().to_json()["confirmation"]["student"]


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_report(path)
    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence


def test_a_report_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_report(Report((full_result(),)), tmp_path / "deep" / "er" / "report.json")
    assert read_report(tmp_path / "deep" / "er" / "report.json").to_json() == full_result().to_json()
    assert [path.name for path in (tmp_path / "deep" / "er").iterdir()] == ["report.json"]


def test_a_report_that_cannot_be_written_is_an_error_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(DataError, match=r"^[^\n]*taken[^\n]*\.$"):
        write_report(Report((full_result(),)), tmp_path / "taken" / "deep" / "report.json")


@pytest.mark.parametrize("version", [0, 3, "1", None])
def test_another_schema_version_is_refused_and_both_are_named(tmp_path: Path, version: object) -> None:
    (tmp_path / "r.json").write_text(json.dumps({**full_result().to_json(), "schema_version": version}))
    sentence = refusal(tmp_path / "r.json")
    assert "schema_version 2" in sentence
    assert repr(version) in sentence


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"3", b"\xff\xfe", b"null"], ids=repr)
def test_a_file_that_is_no_json_object_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "r.json").write_bytes(content)
    assert str(tmp_path / "r.json") in refusal(tmp_path / "r.json")


def test_a_file_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    assert str(tmp_path / "r.json") in refusal(tmp_path / "r.json")


@pytest.mark.parametrize("missing", ["created", "versions", "settings", *REQUIRED])
def test_a_report_with_a_part_missing_is_refused(tmp_path: Path, missing: str) -> None:
    content = full_result().to_json()
    del content[missing]
    (tmp_path / "r.json").write_text(json.dumps(content))
    assert missing in refusal(tmp_path / "r.json")


@pytest.mark.parametrize(
    ("part", "wrong"),
    [
        ("gates", 3),
        ("gates", [3]),
        ("models", [1]),
        ("models", {"student": {}}),
        ("models", {"student": {**full_result().to_json()["models"]["student"], "run": {"mode": "soft"}}}),
        ("memorization", {"student": {**rate(1, 9).to_json(), "value": "much"}}),
        ("memorization", {"student": None}),
        ("memorized_examples", {"student": 3}),
        ("inheritance", [1]),
        ("training_set", "train.jsonl"),
        ("confirmation", {"student": {"checked": 1, "ambiguous_checked": 0}}),
        ("confirmation", {"student": {"checked": 1, "ambiguous_checked": 0, "disagreements": ["one"]}}),
        ("confirmation", {"student": {**CONFIRMED, "witnesses": [{"engine": "vllm"}]}}),
        ("confirmation", {"student": {**CONFIRMED, "implied_tolerance": "wide"}}),
    ],
)
def test_a_part_of_the_wrong_kind_is_refused(tmp_path: Path, part: str, wrong: object) -> None:
    (tmp_path / "r.json").write_text(json.dumps({**full_result().to_json(), part: wrong}))
    refusal(tmp_path / "r.json")


def test_a_damaged_part_or_another_version_is_refused_by_the_name_of_the_file(tmp_path: Path) -> None:
    for damage in ({"gates": [3]}, {"schema_version": 3}):
        (tmp_path / "r.json").write_text(json.dumps({**full_result().to_json(), **damage}))
        assert str(tmp_path / "r.json") in refusal(tmp_path / "r.json")


def test_a_report_from_before_audits_had_names_and_models_had_runs_is_read(tmp_path: Path) -> None:
    content = full_result().to_json()
    for later in ("name", "warnings"):
        del content[later]
    for entry in content["models"].values():
        del entry["run"]
    (tmp_path / "r.json").write_text(json.dumps(content))
    (old,) = read_report(tmp_path / "r.json").audits
    models = {role: replace(entry, run=None) for role, entry in full_result().models.items()}
    assert_same(old, replace(full_result(), name="", warnings=(), models=models))


def test_a_report_from_before_there_were_engine_checks_is_read(tmp_path: Path) -> None:
    differing = {
        "example_id": 4, "scored_memorized": True, "decoded_memorized": False, "ambiguous": True, "margin": 1e-5,
    }  # fmt: skip
    before = {"student": {"checked": 70, "ambiguous_checked": 2, "disagreements": [differing]}}
    (tmp_path / "r.json").write_text(json.dumps({**full_result().to_json(), "confirmation": before}))
    (old,) = read_report(tmp_path / "r.json").audits
    assert old.confirmation == {"student": ConfirmationEntry(70, 2, (differing,))}


def test_several_audits_come_back_in_their_order(tmp_path: Path) -> None:
    audits = (full_result(), replace(full_result(), name="audits/b", gates=()), AuditResult("2026", {}, {}, name=""))
    write_report(Report(audits), tmp_path / "r.json")
    content = json.loads((tmp_path / "r.json").read_text())
    assert content.keys() == {"schema_version", "audits"}
    assert content["audits"][0] == json.loads(json.dumps(full_result().to_json()))
    for back, audit in zip(read_report(tmp_path / "r.json").audits, audits, strict=True):
        assert_same(back, audit)


def test_one_audit_is_written_as_itself() -> None:
    assert Report((full_result(),)).to_json() == full_result().to_json()


def test_a_report_fails_where_any_of_its_audits_does() -> None:
    green = replace(full_result(), name="b", gates=full_result().gates[1:2])
    assert Report((green,)).failed == ()
    assert [gate.outcome for gate in Report((green, full_result())).failed] == ["fail", "error"]


@pytest.mark.parametrize(
    "content",
    [
        {"schema_version": 1, "audits": []},
        {"schema_version": 1, "audits": {}},
        {"schema_version": 1, "audits": [3]},
        {"schema_version": 3, "audits": [full_result().to_json()]},
        {"audits": [full_result().to_json()]},
        {"schema_version": 1, "audits": [{**full_result().to_json(), "schema_version": 3}]},
        {"schema_version": 1, "audits": [full_result().to_json(), full_result().to_json()]},
    ],
    ids=["none", "an object", "a number", "another version", "no version", "one of another version", "one twice"],
)
def test_several_audits_of_which_something_is_wrong_are_refused(tmp_path: Path, content: dict[str, Any]) -> None:
    (tmp_path / "r.json").write_text(json.dumps(content))
    assert str(tmp_path / "r.json") in refusal(tmp_path / "r.json")
