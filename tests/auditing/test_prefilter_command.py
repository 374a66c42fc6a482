"""The command that cleans a training set holds all by which the audit read it; none that would fail is printed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pytest_kdmem.auditing.prefilter_command import OF_READING, OF_RUN, prefilter_command
from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.cli import prefilter as command
from pytest_kdmem.cli.parameters import _flat_members
from pytest_kdmem.errors.harmless import named
from pytest_kdmem.specs.declared import TrainingSet
from tests.auditing.estimates import rate
from tests.auditing.results import full_result
from tests.report.audits import risk_entry

FULL = full_result()
STUDENT = replace(FULL.models["student"], revision=None)
TEACHER = FULL.models["teacher"]


def result(reading: dict[str, Any] | None = None, **changed: Any) -> AuditResult:
    assert FULL.training_set is not None
    models = {"teacher": TEACHER, "student": STUDENT, "baseline": replace(STUDENT, source="runs/baseline")}
    whole = replace(FULL, models=models, memorization={}, settings={"prefix_tokens": 15, "suffix_tokens": 15})
    return replace(whole, training_set=replace(FULL.training_set, reading=reading or {}), **changed)


START = ["kdmem", "prefilter", "train.jsonl", "--teacher=runs/teacher", "--baseline=runs/baseline"]


def test_every_flag_that_it_may_hold_is_one_of_the_command() -> None:
    flags = {member.flag for member in _flat_members(command.prefilter)}
    assert {f"--{name}" for name in OF_RUN} | {*OF_READING.values()} <= flags


def test_the_set_is_read_as_the_audit_declared_it() -> None:
    declared = TrainingSet("x", text_column="body", eos="never", add_special_tokens=False, dtype="uint16")
    lengths = ["--prefix-tokens=15", "--suffix-tokens=15"]
    assert prefilter_command(result(declared.declared_reading), []) == [
        *START,
        *lengths,
        *("--text-column=body", "--add-special-tokens=no", "--eos=never", "--token-dtype=uint16"),
        "--out=cleaned",
    ]
    given = ["--kdmem-text-column=other", "--kdmem-sample=9", "--kdmem-offline", "--kdmem-prefix-tokens=20"]
    words = prefilter_command(result(declared.declared_reading), given)
    assert {"--text-column=other", "--offline", "--prefix-tokens=20"} <= {*words}
    assert not {"--text-column=body", "--sample=9", "--prefix-tokens=15"} & {*words}
    configured = result(settings={"dtype": "float32", "device": "auto", "offline": False, "window_tokens": 256})
    assert prefilter_command(configured, [])[5:-1] == ["--window-tokens=256", "--dtype=float32"]


def test_none_is_printed_with_a_value_that_may_be_a_text_of_the_set() -> None:
    document = "a document of more than four words"
    assert prefilter_command(result({"text_column": named(document)}), []) == []
    assert prefilter_command(result(), [f"--kdmem-text-column={document}"]) == []


@pytest.mark.parametrize(
    "reading",
    [
        *({"minimum_tokens": 9}, {"config": "x"}, {"text_column": "a", "revision": "b"}),
        *({"form": "blocks"}, {"order": "megatron"}),
    ],
)
def test_none_is_printed_for_a_set_that_the_command_cannot_read_so(reading: dict[str, Any]) -> None:
    assert prefilter_command(result(reading), []) == []


@pytest.mark.parametrize("source", ["s3://bucket/train.jsonl", "someone/data", "wikitext-103"])
def test_none_is_printed_for_a_set_that_lies_elsewhere(source: str) -> None:
    here = result()
    assert here.training_set is not None
    elsewhere = replace(here, training_set=replace(here.training_set, source=source))
    assert prefilter_command(elsewhere, []) == []


@pytest.mark.parametrize("role", ["teacher", "baseline"])
def test_none_is_printed_for_a_revision_that_the_command_cannot_name(role: str) -> None:
    models = result().models
    assert prefilter_command(result(models=models | {role: replace(models[role], revision="v1")}), []) == []


def test_bases_that_are_declared_are_those_of_the_command() -> None:
    models = result().models
    adapters = {role: replace(models[role], declared={"base": f"runs/{role}-base"}) for role in ("teacher", "baseline")}
    words = prefilter_command(result(models=models | adapters), [])
    assert {"--teacher-base=runs/teacher-base", "--baseline-base=runs/baseline-base"} <= {*words}
    chosen = prefilter_command(result(models=models | adapters), ["--kdmem-teacher-base=other"])
    assert "--teacher-base=other" in chosen
    assert "--teacher-base=runs/teacher-base" not in chosen


def test_code_of_models_is_run_if_all_of_them_declare_it_and_else_there_is_no_command() -> None:
    trusting = {name: replace(model, declared={"trust_remote_code": True}) for name, model in result().models.items()}
    assert "--trust-remote-code" in prefilter_command(result(models=trusting), [])
    one = result(models=result().models | {"teacher": trusting["teacher"]})
    assert prefilter_command(one, []) == []
    assert "--trust-remote-code" in prefilter_command(one, ["--kdmem-trust-remote-code"])
    little = {"baseline": rate(9, 1000), "student": rate(10, 1000)}
    pair = result().models | {role: trusting[role] for role in ("teacher", "baseline")}
    assert prefilter_command(result(models=pair, memorization=little), []) == []
    assert prefilter_command(result(models=pair), ["--kdmem-labels-from=runs/other"]) == []
    assert "--trust-remote-code" in prefilter_command(result(models=trusting, memorization=little), [])


def test_labels_of_an_adapter_whose_base_the_command_cannot_name_are_not_proposed() -> None:
    models = result().models
    student = replace(models["student"], declared={"base": "runs/base"})
    little = {"baseline": rate(9, 1000), "student": rate(10, 1000)}
    assert prefilter_command(result(models=models | {"student": student}, memorization=little), []) == []


@pytest.mark.parametrize(("requested", "words"), [("0.3", {"--threshold=0.3"}), ("recall of 95.00%", set())])
def test_the_threshold_of_the_gate_is_that_of_the_command(requested: str, words: set[str]) -> None:
    risk = replace(risk_entry(), comparable_on={"risk threshold": requested})
    found = prefilter_command(result(risk=risk), [])
    assert {word for word in found if word.startswith("--threshold")} == words


def test_a_baseline_that_recites_too_little_is_no_source_of_labels() -> None:
    little, much = rate(9, 1000), rate(10, 1000)
    labels = "--labels-from=runs/student"
    assert labels in prefilter_command(result(memorization={"baseline": little, "student": much}), [])
    assert labels not in prefilter_command(result(memorization={"baseline": much, "student": little}), [])
    assert prefilter_command(result(memorization={"baseline": little, "student": little}), []) == []
    chosen = prefilter_command(result(memorization={"baseline": little}), ["--kdmem-labels-from=runs/teacher"])
    assert "--labels-from=runs/teacher" in chosen
