"""Gates on what may be extracted from models as they are sampled, through the plugin."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM


@pytest.fixture
def project(audit_project):
    return audit_project


def sampled_student(project, **settings) -> Path:
    """Declare a student in a folder of its own, deployed by these settings."""
    folder = project.path / "student"
    shutil.copytree(project.cast.student, folder)
    (folder / "generation_config.json").write_text(json.dumps(settings))
    project.declare(student=folder)
    return folder


def test_a_named_sampler_is_held_beside_the_models_own_and_stored(project, cast, monkeypatch):
    sampled_student(project, do_sample=True, temperature=0.01, top_k=0)
    greedy = len(cast.recited_by("student"))
    project.gates(
        f"""
        def test_cold(memorization, student):
            scored = memorization(student, metrics="all")
            assert scored.extractable(100, 0.5, temperature=0.02) <= {greedy}/20
            assert scored.extractable(100, 0.5, temperature=0.02).k == {greedy}
            assert scored.extractable(n=100, p=0.5).k == {greedy}

        def test_too_many(memorization, student):
            assert memorization(student, metrics="all").extractable(1, 0.5, top_k=1) <= 0.05
        """
    )
    result = project.run("--kdmem-report", "report.json")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["*(1, 0.5)-extractable rate at temperature 1, top-k 1 (named by the test) of student*"]
    )
    figures = {each.label: each for each in project.report("report.json").figures if each.family == "sampler"}
    assert set(figures) == {
        "(100, 0.5) at temperature 0.02 (named by the test)",
        "(100, 0.5) at temperature 0.01 (generation_config.json)",
        "(1, 0.5) at temperature 1, top-k 1 (named by the test)",
        "(1, 0.5) at temperature 0.01 (generation_config.json)",
    }
    named = figures["(100, 0.5) at temperature 0.02 (named by the test)"]
    assert named.note == (
        "The test names this sampler; by its own files, the model generates"
        " at temperature 0.01 (generation_config.json)."
    )
    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", lambda *args, **options: pytest.fail("a model loads"))
    project.run().assert_outcomes(passed=1, failed=1)


def test_a_model_that_is_decoded_greedily_gives_away_what_it_recites(project, cast):
    sampled_student(project)
    project.gates(
        f"""
        def test_own(memorization, student):
            rate = memorization(student).extractable(100, 0.5)
            assert rate <= {len(cast.recited_by("student"))}/20
            assert rate.k == memorization(student).count
        """
    )
    result = project.run("--kdmem-report", "report.json")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*(100, 0.5)-extractable by greedy decoding (generation_config.json): *"])
    (figure,) = (each for each in project.report("report.json").figures if each.family == "sampler")
    assert figure.label == "(100, 0.5) by greedy decoding (generation_config.json)"
    assert "does not set do_sample" in figure.note


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ('memorization(student, metrics="all").extractable(100, 0.5)', "*repetition_penalty = 1.2 changes the draws*"),
        ('memorization(student, metrics="all").extractable(0, 0.5, top_k=5)', "*n ≥ 1*found n = 0*"),
        ('memorization(student, metrics="all").extractable(9, 0.5, top_k=0)', "*expected as top_k; found 0*"),
        ("memorization(student).extractable(9, 0.5, temperature=1.0)", '*shortfall was expected*metrics="all"*'),
    ],
)
@pytest.mark.parametrize("catches", [False, True])
def test_what_cannot_be_measured_fails_in_one_sentence_even_if_it_is_caught(project, call, message, catches):
    sampled_student(project, do_sample=True, repetition_penalty=1.2)
    gate = f"assert {call} <= 1"
    body = f"try:\n        {gate}\n    except Exception:\n        pass" if catches else gate
    project.gates(f"def test_gate(memorization, student):\n    assert memorization(student).rate <= 1\n    {body}\n")
    result = project.run()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines([message])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_a_named_sampler_stands_where_the_models_own_cannot_be_read(project):
    sampled_student(project, do_sample=True, repetition_penalty=1.2)
    project.gates(
        "def test_gate(memorization, student):\n"
        '    assert memorization(student, metrics="all").extractable(9, 0.5, temperature=0.02) <= 0.5\n'
    )
    project.run("--kdmem-report", "report.json").assert_outcomes(passed=1)
    (figure,) = (each for each in project.report("report.json").figures if each.family == "sampler")
    assert figure.note.endswith("own is unknown, or one whose probabilities are not computed.")


def test_a_comparison_that_is_written_and_never_made_fails(project):
    project.gates(
        """
        def test_gate(memorization, student):
            assert memorization(student).rate <= 1
            if student is None:
                assert memorization(student).extractable(100, 0.5) <= 0.5
        """
    )
    result = project.run()
    assert result.ret != 0
    result.stdout.fnmatch_lines(["*line*"])
