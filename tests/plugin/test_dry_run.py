"""`--kdmem-dry-run`: it tells what an audit would take, holds no gate, writes nothing, and never exits with 0."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from pytest_kdmem.plugin.dry_run import dry_run_error
from pytest_kdmem.plugin.settings import Settings

AUDIT = """
def test_rate(memorization, student):
    assert memorization(student).rate <= 1

def test_reduction(inheritance):
    assert inheritance().reduction >= 0

def test_caught(memorization, student):
    try:
        assert memorization(student).rate <= 1
    except Exception:
        pass
"""


def tree(folder: Path) -> dict[Path, tuple[int, bytes]]:
    """Every file of a folder with its time of change and content, but for what Python compiles."""
    files = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def test_nothing_is_written_and_no_gate_is_held(unscored_project):
    unscored_project.gates(AUDIT)
    (unscored_project.path / "old.json").write_text("{}")
    before = tree(unscored_project.path)
    result = unscored_project.run("--kdmem-dry-run", "--kdmem-report=old.json")
    assert result.ret == 10
    assert tree(unscored_project.path) == before
    result.assert_outcomes(skipped=3)
    text = result.stdout.str()
    for role in ("student", "teacher", "baseline"):  # the first test asks for the student alone
        assert text.count(f"{getattr(unscored_project.cast, role).name} (GPTNeoXForCausalLM") == 1
    assert text.count("20 examples, 0 of them scored already") == 3
    assert "transformers in float32 on cpu" in text
    assert "nothing was written, and no gate was evaluated (exit code 10)" in text


def test_what_is_stored_needs_no_model(audit_project, monkeypatch):
    audit_project.gates(AUDIT)
    audit_project.run()  # records the training set
    before = tree(audit_project.path)
    monkeypatch.setattr("transformers.AutoModelForCausalLM.from_pretrained", lambda *_, **__: pytest.fail("loaded"))
    result = audit_project.run("--kdmem-dry-run")
    assert result.ret == 10
    assert tree(audit_project.path) == before
    assert result.stdout.str().count("nothing is to be scored") == 3


@pytest.mark.parametrize("way", ["configuration", "environment"])
def test_it_never_exits_with_0_wherever_it_is_set(audit_project, monkeypatch, way):
    audit_project.gates(AUDIT)
    settings = {"kdmem_partial": True} | ({"kdmem_dry_run": True} if way == "configuration" else {})
    audit_project.configure(**settings)
    if way == "environment":
        monkeypatch.setenv("KDMEM_DRY_RUN", "yes")
    assert audit_project.run().ret == 10


def test_it_accepts_no_figures_and_starts_no_workers(audit_project):
    audit_project.gates(AUDIT)
    result = audit_project.run("--kdmem-dry-run", "--kdmem-baseline-file=a.json", "--kdmem-update-baseline-file")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "--kdmem-dry-run has no figures that --kdmem-update-baseline-file could accept" in result.stderr.str()
    settings = Settings({"dry_run": True, "update_baseline_file": False}, {}, {"dry_run": "--kdmem-dry-run"})
    config = SimpleNamespace(option=SimpleNamespace(numprocesses=2))
    assert dry_run_error(config, settings).endswith("drop -n.")
    config.option.numprocesses = None
    assert not dry_run_error(config, settings)


def test_a_model_that_would_be_trained_is_not(unscored_project):
    unscored_project.gates("""
def test_trained(distiller, memorization, student):
    assert memorization(distiller(init=student, mode="baseline")).rate <= 1
""")
    before = tree(unscored_project.path)
    result = unscored_project.run("--kdmem-dry-run")
    assert (result.ret, tree(unscored_project.path)) == (10, before)
    result.assert_outcomes(skipped=1)


def test_a_mistake_is_told_as_ever(unscored_project):
    unscored_project.declare(student="no/such/model")
    unscored_project.gates(AUDIT)
    result = unscored_project.run("--kdmem-dry-run", "--kdmem-offline")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "A model folder was expected at no/such/model, and there is none" in result.stdout.str()
    assert "exit code 10" not in result.stdout.str()
