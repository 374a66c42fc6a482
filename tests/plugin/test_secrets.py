"""A password, token or key in a name reaches no output: what holds one is refused where it is declared."""

from __future__ import annotations

import pytest

SECRET = "sEcReT4242"
SOURCES = (
    f"https://user:{SECRET}@host/model",
    f"s3:/key:{SECRET}@bucket/set.jsonl",
    f"//user:{SECRET}@host/set.jsonl",
    f"https%3A%2F%2Fuser%3A{SECRET}%40host%2Fmodel",
    f"https://host/set.jsonl?X-Amz-Signature={SECRET}",
    f"user:{SECRET}@host/model",
)
GATE = "def test_rate(memorization, student):\n    assert memorization(student).rate <= 1\n"


def outputs(project, *arguments: str) -> str:
    reports = [f"--kdmem-report=out/a.{ending}" for ending in ("json", "html", "md", "sarif")]
    result = project.run("-v", "--junitxml=out/junit.xml", *reports, *arguments)
    assert result.ret != pytest.ExitCode.OK
    files = [path.read_text(encoding="utf-8") for path in (project.path / "out").glob("*")]
    return "\n".join([result.stdout.str(), result.stderr.str(), *files])


@pytest.mark.parametrize("source", SOURCES, ids=range(len(SOURCES)))
@pytest.mark.parametrize("role", ["student", "training_set"])
def test_a_secret_in_a_declaration(audit_project, role, source):
    declared = {"data": f"TrainingSet({source!r})"} if role == "training_set" else {"student": source}
    audit_project.declare(**declared)
    audit_project.gates(GATE)
    shown = outputs(audit_project)
    assert SECRET not in shown
    assert "must be without a password or key" in shown.replace("\n", " ")


@pytest.mark.parametrize("source", SOURCES[:2], ids=range(2))
@pytest.mark.parametrize("role", ["student", "training-set"])
@pytest.mark.parametrize("place", ["option", "configuration"])
def test_a_secret_in_a_setting(audit_project, role, source, place):
    audit_project.gates(GATE)
    if place == "configuration":
        audit_project.configure(**{f"kdmem_{role.replace('-', '_')}": source})
        shown = outputs(audit_project)
    else:
        shown = outputs(audit_project, f"--kdmem-{role}={source}")
    assert SECRET not in shown
    assert "without a password or key" in shown


@pytest.mark.parametrize(
    "value", ["\x1b[31mred", "::error::x", "two\nlines", "a document of more than four words"], ids=range(4)
)
def test_a_setting_is_shown_as_a_name_or_by_its_length(audit_project, value):
    audit_project.gates(GATE)
    result = audit_project.run(f"--kdmem-text-column={value}", "--kdmem-report=a.json")
    result.assert_outcomes(passed=1)
    shown = result.stdout.str() + (audit_project.path / "a.json").read_text()
    assert "\x1b[31mred" not in shown
    assert "two\nlines" not in shown
    assert "a document of more" not in shown
    assert not any(line.lstrip().startswith("::") for line in shown.splitlines())
