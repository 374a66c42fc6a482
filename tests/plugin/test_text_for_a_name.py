"""A training text that is given where a name belongs is told by its length, in every output."""

from __future__ import annotations

import json

import pytest

TEXT = "Alice told me that her card ends in 4242, and nobody else may ever know of it"
FORMATS = ("json", "html", "md", "sarif")
GATE = "def test_rate(memorization, student):\n    assert memorization(student).rate <= 1\n"


def outputs(project, *arguments: str) -> str:
    """All that a run writes: terminal, reports of every format, JUnit, and the summary of a CI job."""
    reports = [f"--kdmem-report=out/a.{ending}" for ending in FORMATS]
    result = project.run("--junitxml=out/junit.xml", *reports, *arguments)
    assert result.ret not in (pytest.ExitCode.OK, pytest.ExitCode.INTERNAL_ERROR)
    files = [path.read_text(encoding="utf-8") for path in (project.path / "out").glob("*")]
    return "\n".join([result.stdout.str(), result.stderr.str(), *files])


def check_hidden(shown: str) -> None:
    for part in (TEXT, TEXT[:30], TEXT[-30:], "4242"):
        assert part not in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize("text", [TEXT, f"{TEXT}\n{TEXT}", TEXT * 10, f"{TEXT} and/or {TEXT}"], ids=range(4))
@pytest.mark.parametrize("role", ["training_set", "student"])
def test_a_document_as_a_source(audit_project, role, text):
    declared = {"data": f"TrainingSet({text!r})"} if role == "training_set" else {"student": text}
    audit_project.declare(**declared)
    audit_project.gates(GATE)
    shown = outputs(audit_project)
    check_hidden(shown)
    assert "a text of" in shown


ARGUMENTS = {
    "text": repr(TEXT),
    "list": repr([TEXT]),
    "many": repr([TEXT] * 5000),
    "dictionary": repr({TEXT: 1}),
    "bytes": repr(TEXT.encode()),
    "set": f"student, {TEXT!r}",
    "sets": f"student, [{TEXT!r}]",
}


@pytest.mark.parametrize("argument", ARGUMENTS.values(), ids=ARGUMENTS)
def test_documents_in_place_of_a_model_or_a_set(audit_project, argument):
    audit_project.gates(
        f"ARGUMENTS = lambda student: ({argument},)\n\n"
        "def test_rate(memorization, student):\n    assert memorization(*ARGUMENTS(student)).rate <= 1\n"
    )
    result = audit_project.run("--kdmem-report=out/a.json")
    shown = result.stdout.str() + (audit_project.path / "out/a.json").read_text()
    [line] = [line for line in shown.splitlines() if "was expected as" in line and line.startswith("E")] or [""]
    assert "4242" not in line.partition("found")[2]
    assert "4242" not in (audit_project.path / "out/a.json").read_text()


def test_documents_as_keys_of_json_are_no_columns_to_show(audit_project):
    (audit_project.path / "train.jsonl").write_text("".join(json.dumps({TEXT: 1, f"{n}": 2}) + "\n" for n in range(3)))
    audit_project.declare(data='TrainingSet("train.jsonl")')
    audit_project.gates(GATE)
    shown = outputs(audit_project)
    check_hidden(shown)
    assert f"a text of {len(TEXT)} characters, 0" in shown
