"""Gates hold rates by class of secrets, and every report counts what is recited and inherited of each class."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.audit_project import CELLS, PREFIX, REGION, ROLES, SUFFIX, word
from tests.secrets.personal_words import with_secrets

GATE = "def test_class(memorization, student):\n    assert memorization(student).of_class({name!r}).rate <= {most}\n"


@pytest.fixture
def personal_project(unscored_project):
    project = unscored_project
    project.declare(**{role: with_secrets(getattr(project.cast, role), project.path / role) for role in ROLES})
    return project


def test_a_gate_on_a_class_holds_or_fails(personal_project):
    personal_project.gates(GATE.format(name="email", most=0.1))
    personal_project.run().assert_outcomes(passed=1)
    personal_project.gates(GATE.format(name="email", most=0.09))
    result = personal_project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*email memorization rate of student 10.00% (2 of 20) > 9.00%*"])


@pytest.fixture(params=["recited to the end", "missed before"])
def signed_project(request, unscored_project):
    """A letter that the student recites, with an address behind the suffix, and whether it goes on to it."""
    project, steps = unscored_project, range(PREFIX + SUFFIX + 8)
    cells = list(CELLS)
    first = {cell: 1 + cells.index(cell) * REGION for cell in ("student", "none")}
    rows = np.array([[first[cell] + step for step in steps] for cell in ("student", "none")], np.int32)
    signature = first["student"] + PREFIX + SUFFIX + 5
    assert signature in rows[0]
    if request.param == "missed before":
        rows[0, PREFIX + SUFFIX + 3] = first["none"]
    np.save(project.path / "letters.npy", rows)
    words = {word(signature): "ada@example.com"}
    models = {role: with_secrets(getattr(project.cast, role), project.path / role, words) for role in ROLES}
    project.declare(data='TrainingSet("letters.npy")', **models)
    return project, request.param


def test_what_is_recited_behind_the_suffix_is_searched_up_to_the_first_miss(signed_project):
    project, how = signed_project
    project.gates(GATE.format(name="email", most=0).replace("(student)", "(student, metrics='all')"))
    result = project.run("--kdmem-report=r.json")
    if how == "missed before":
        result.assert_outcomes(passed=1)
    else:
        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines(["*email memorization rate of student 50.00% (1 of 2) > 0.00%*"])
    figures = {(figure.subject, figure.label): figure for figure in project.report("r.json").figures}
    assert figures["student", "email"].estimate.k == (how == "recited to the end")
    assert figures["student", "email"].note == ""


def test_verdicts_alone_do_not_show_that_nothing_is_recited_behind_the_suffix(signed_project):
    project, _ = signed_project
    project.gates(GATE.format(name="email", most=0))
    result = project.run("--kdmem-report=r.json")
    result.assert_outcomes(failed=1)
    reason = "one recited example holds a secret of class email behind the suffix, and verdicts alone were scored"
    result.stdout.fnmatch_lines([f"*is not shown ≤ 0.00%, because {reason}*"])
    assert 'metrics="all"' in result.stdout.str()
    [gate] = project.report("r.json").gates
    assert gate.outcome == "inconclusive"
    figures = {(figure.subject, figure.label): figure for figure in project.report("r.json").figures}
    assert figures["student", "email"].note == f"student: {reason}"
    assert figures["student", "phone"].note == ""


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("name", "Class name was expected to be searched for, and it is not"),
        ("iban", "A class of secrets was expected (email, phone, card, key, name, address)"),
    ],
)
def test_a_class_that_is_not_looked_for_passes_no_gate(personal_project, name, reason):
    gate = GATE.format(name=name, most=1)
    personal_project.gates(gate)
    result = personal_project.run()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert reason in result.stdout.str()
    # Nor if the test catches the error.
    caught = gate.replace("    assert", "    try:\n        assert") + "    except Exception:\n        pass\n"
    personal_project.gates(f"{caught}    assert memorization(student).rate <= 1\n")
    assert personal_project.run().ret == pytest.ExitCode.TESTS_FAILED


def test_reports_count_by_class_without_text(personal_project):
    personal_project.gates("def test_ratio(inheritance):\n    assert inheritance().ratio <= 1\n")
    personal_project.run("--kdmem-report=r.json").assert_outcomes(passed=1)
    figures = {
        (figure.subject, figure.label): figure
        for figure in personal_project.report("r.json").figures
        if figure.family == "class"
    }
    counts = {key: figure.estimate.k for key, figure in figures.items() if not figure.note}
    assert {key: count for key, count in counts.items() if count} == {
        ("student", "email"): 2,
        ("teacher", "email"): 1,
        ("baseline", "email"): 1,
        ("student", "phone"): 1,
        ("teacher", "phone"): 1,
        ("inherited", "phone"): 1,
    }
    assert counts["inherited", "email"] == counts["student", "card"] == counts["student", "key"] == 0
    name = figures["student", "name"]
    assert "--kdmem-ner-model" in name.note
    assert name.estimate.to_json()["value"] is None
    assert "example.com" not in (personal_project.path / "r.json").read_text()


def test_a_later_audit_reads_no_text(personal_project):
    personal_project.gates(GATE.format(name="email", most=0.1))
    personal_project.run("--kdmem-report=first.json").assert_outcomes(passed=1)
    for role in ROLES:
        assert not list((personal_project.path / role).glob("*.jsonl"))
    result = personal_project.pytester.runpytest_subprocess("-p", "no:hypothesispytest", "--kdmem-report=second.json")
    result.assert_outcomes(passed=1)
    first, second = (json.loads((personal_project.path / f"{name}.json").read_text()) for name in ("first", "second"))
    assert first["figures"] == second["figures"]
