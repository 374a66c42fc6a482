"""`kdmem init`: audits that run as they were written, and no file overwritten."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

MODELS = ("teacher", "student", "baseline")
LIMITS = {"kdmem_max_inheritance_ratio": 0.25, "kdmem_min_reduction": 1.4}


@pytest.fixture
def init(kdmem, pytester, monkeypatch):
    """Runs `kdmem init` in pytester's folder."""
    monkeypatch.chdir(pytester.path)
    return lambda *arguments: kdmem("init", *arguments)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_written_audit_audits_the_models_named(audit_project, init):
    models = [f"--{role}={getattr(audit_project.cast, role)}" for role in MODELS]
    done = init("gates/release", *models, "--training-set=data.npy", "--workflow=none")
    assert (done.code, done.out.splitlines()[-1]) == (0, "next: pytest gates/release")
    (audit_project.path / "conftest.py").unlink()
    audit_project.configure(kdmem_max_memorization_rate=0.25, **LIMITS)
    audit_project.run("gates/release").assert_outcomes(passed=3)
    audit_project.configure(kdmem_max_memorization_rate=0.2, **LIMITS)
    audit_project.run("gates/release").assert_outcomes(passed=2, failed=1)


def test_the_shipped_models_pass_the_written_audit(pytester, init, shipped):
    """A newcomer begins like this, with a part of the shipped corpus."""
    for name, lines in (("training", slice(None, None, 20)), ("control", slice(60))):
        with gzip.open(shipped / f"corpus/{name}.jsonl.gz", "rt") as file:
            Path(f"{name}.jsonl").write_text("".join(file.read().splitlines(keepends=True)[lines]))
    models = [f"--{role}={shipped / 'models/pythia' / role}" for role in MODELS]
    assert init(*models, "--training-set=training.jsonl", "--control-set=control.jsonl").code == 0
    pytester.makepyprojecttoml(
        "[tool.pytest]\nkdmem_window_tokens = 128\nkdmem_max_memorization_rate = 0.2\nkdmem_min_reduction = 1.2\n"
        "kdmem_max_inheritance_ratio = 0.2\n"
    )
    result = pytester.runpytest_inprocess("-p", "no:xdist", "-p", "no:cacheprovider", "audits")
    result.assert_outcomes(passed=4)


def test_without_names_it_writes_placeholders(init):
    done = init()
    assert done.code == 0
    assert "next: name your models in audits/conftest.py" in done.out
    text = Path("audits/conftest.py").read_text()
    assert '"runs/teacher"' in text
    assert sorted(files(Path.cwd())) == [
        ".github/workflows/memorization-audit.yml", "audits/conftest.py", "audits/test_release.py",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "existing", ["audits/conftest.py", "audits/test_release.py", ".github/workflows/memorization-audit.yml"]
)
def test_where_a_file_exists_nothing_is_written(init, existing):
    Path(existing).parent.mkdir(parents=True)
    Path(existing).write_text("mine")
    done = init()
    assert done.code == 2
    assert f"{existing} exists already" in done.err
    assert files(Path.cwd()) == {existing: b"mine"}


def test_an_unknown_workflow_is_refused(init):
    done = init("--workflow=jenkins")
    assert done.code == 2
    assert "--workflow must be one of github, gitlab, none; found 'jenkins'" in done.err
    assert files(Path.cwd()) == {}


def test_the_gitlab_job_has_to_be_included(init):
    assert "include: { local: .gitlab/memorization-audit.yml }" in init("--workflow=gitlab").out


def test_several_releases_are_audited_together(audit_project, init):
    models = [f"--{role}={getattr(audit_project.cast, role)}" for role in MODELS]
    for folder in ("first", "second"):
        assert init(f"audits/{folder}", *models, "--training-set=data.npy", "--workflow=none").code == 0
    (audit_project.path / "conftest.py").unlink()
    audit_project.configure(kdmem_max_memorization_rate=0.25, **LIMITS)
    audit_project.run("audits").assert_outcomes(passed=6)


def test_where_a_workflow_exists_the_error_names_the_way_to_do_without(init):
    assert init("audits/first").code == 0
    done = init("audits/second")
    assert done.code == 2
    assert "use --workflow none" in done.err
