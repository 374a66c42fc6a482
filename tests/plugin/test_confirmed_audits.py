"""An audit that asks for confirmation fails if a second engine disagrees outside the band, and reports each check."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_kdmem.scoring import confirm as confirming

GATE = "def test_rate(memorization, student): assert memorization(student).rate <= 1"
TWO_GATES = (
    GATE
    + """

def test_again(memorization, student): assert memorization(student).count == 5
"""
)
# Printed by a run in a process of its own.
NOTE_MODULES = """

import sys
from pathlib import Path

def pytest_unconfigure(config):
    Path("modules").write_text("\\n".join(sys.modules))
"""


class _OneTurned:
    """An engine whose decoding goes wrong after the first of the prefixes."""

    def __init__(self, engine):
        self._engine = engine

    def __getattr__(self, name):
        return getattr(self._engine, name)

    def decode(self, prefixes, new_tokens):
        spoken = self._engine.decode(prefixes, new_tokens)
        spoken[0] = spoken[0] + 1
        return spoken


@pytest.fixture
def opens(monkeypatch) -> list[str]:
    """Which engines confirmations opened."""
    names: list[str] = []
    open_engine = confirming.open_engine

    def noted(model, checkpoint, numerics, *rest):
        names.append(numerics.engine)
        return open_engine(model, checkpoint, numerics, *rest)

    monkeypatch.setattr(confirming, "open_engine", noted)
    return names


@pytest.fixture
def turned(monkeypatch, opens) -> None:
    """Decoding that disagrees about one example, which the student recites."""
    open_engine = confirming.open_engine
    monkeypatch.setattr(confirming, "open_engine", lambda *given: _OneTurned(open_engine(*given)))
    choose = confirming.choose_sample

    def recited_only(rows, *, seed):
        chosen = choose(rows, seed=seed)
        return replace(chosen, rows=tuple(row for row in chosen.rows if row.memorized))

    monkeypatch.setattr(confirming, "choose_sample", recited_only)


def test_what_was_confirmed_is_told_in_a_line_and_in_the_report(audit_project, opens):
    audit_project.gates(GATE)
    result = audit_project.run("--kdmem-confirm", "--kdmem-report=audit.json")
    result.assert_outcomes(passed=1)
    line = "student confirmed by 2 checks (transformers scored and decoded): 20 examples, 0 ambiguous, no disagreement"
    result.stdout.fnmatch_lines([f"{line}; tolerance claimed 2^-*, implied *"])
    entry = audit_project.report("audit.json").confirmation["student"]
    assert [(check.engine, check.method, check.checked) for check in entry.engine_checks] == [
        ("transformers", "scored", 20),
        ("transformers", "decoded", 20),
    ]
    assert (entry.checked, entry.ambiguous_checked, entry.ambiguous, entry.disagreements) == (20, 0, 0, ())
    model = audit_project.report("audit.json").models["student"]
    assert entry.claimed_tolerance == model.tolerance
    assert entry.implied_tolerance <= entry.claimed_tolerance
    assert opens == ["transformers"]
    quiet = audit_project.run("--kdmem-confirm", "-q")
    assert "confirmed by" not in quiet.stdout.str()


def test_without_the_option_nothing_is_confirmed(audit_project, opens):
    audit_project.gates(GATE)
    result = audit_project.run("--kdmem-report=audit.json")
    assert opens == []
    assert audit_project.report("audit.json").confirmation == {}
    assert "confirmed by" not in result.stdout.str()


def test_a_disagreement_outside_the_band_fails_every_gate_over_the_model(audit_project, turned, opens):
    audit_project.gates(TWO_GATES)
    result = audit_project.run("--kdmem-confirm", "--kdmem-report=audit.json")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(errors=2)
    first = min(audit_project.cast.recited_by("student"))
    for line in audit_project.failures(result):
        assert f"transformers decoded differs on 1 of 5 examples (first: example {first}, margin " in line
        assert "--kdmem-dtype float32" in line
    [disagreement] = audit_project.report("audit.json").confirmation["student"].disagreements
    assert (disagreement["engine"], disagreement["way"]) == ("transformers", "decoded")
    assert (disagreement["example_id"], disagreement["claimed"], disagreement["found"]) == (first, True, False)
    assert "student not confirmed by 2 checks" in result.stdout.str()
    assert opens == ["transformers"]  # the second gate fails by the disagreement that the first read


def test_a_disagreement_inside_the_band_passes_and_is_told(unscored_project, turned, monkeypatch):
    # A band so broad that every example lies in it.
    monkeypatch.setattr("pytest_kdmem.engines.transformers.engine.measured_tolerance", lambda *_measured: 1024.0)
    unscored_project.gates(GATE)
    result = unscored_project.run("--kdmem-confirm", "--kdmem-report=audit.json")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        ["student confirmed by 2 *: 5 examples, 5 of 20 ambiguous, 1 disagreement inside the band; tolerance*"]
    )


def test_a_second_audit_with_confirm_loads_no_model(audit_project):
    """Neither weights nor torch: what was confirmed before is read."""
    audit_project.gates(TWO_GATES)
    audit_project.run("--kdmem-confirm", "--kdmem-report=first.json").assert_outcomes(passed=2)
    conftest = audit_project.path / "conftest.py"
    conftest.write_text(conftest.read_text() + NOTE_MODULES)
    alone = ("-p", "no:hypothesispytest", "-p", "no:anyio")
    result = audit_project.pytester.runpytest_subprocess(*alone, "--kdmem-confirm", "--kdmem-report=second.json")
    result.assert_outcomes(passed=2)
    modules = (audit_project.path / "modules").read_text().split("\n")
    assert "pytest_kdmem.scoring.confirm" in modules
    assert not {"torch", "transformers", "datasets", "vllm", "sklearn"} & set(modules)
    first, second = (audit_project.report(f"{name}.json").confirmation for name in ("first", "second"))
    assert first == second
    assert set(first) == {"student"}
