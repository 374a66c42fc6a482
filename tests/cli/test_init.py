"""`kdmem init`: audits that run as they were written, and nothing written over."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from pytest_kdmem.cli import main

ROOT = Path(__file__).parents[2]
MODELS, CORPUS = ROOT / "fixtures/models/pythia", ROOT / "fixtures/corpus"


@pytest.fixture
def init(pytester, monkeypatch, capsys):
    monkeypatch.chdir(pytester.path)

    def run(*arguments: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as ended:
            main(["init", *arguments])
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return int(ended.value.code or 0), said.out + said.err

    return run


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_it_writes_audits_the_models_named(audit_project, init):
    cast = audit_project.cast
    code, said = init(
        "gates/release", f"--teacher={cast.teacher}", f"--student={cast.student}", f"--baseline={cast.baseline}",
        "--training-set=data.npy", "--workflow=none",
    )  # fmt: skip
    assert (code, said.splitlines()[-1]) == (0, "next: pytest gates/release")
    (audit_project.path / "conftest.py").unlink()
    audit_project.configure(kdmem_max_memorization_rate=0.25, kdmem_max_inheritance_ratio=0.25, kdmem_min_reduction=1.4)
    audit_project.run("gates/release").assert_outcomes(passed=3)
    audit_project.configure(kdmem_max_memorization_rate=0.2, kdmem_max_inheritance_ratio=0.25, kdmem_min_reduction=1.4)
    audit_project.run("gates/release").assert_outcomes(passed=2, failed=1)


def test_paths_below_the_project_hold_from_any_folder(audit_project, init, monkeypatch):
    cast = audit_project.cast
    (audit_project.path / "models").mkdir()
    for role in ("teacher", "student", "baseline"):
        (audit_project.path / "models" / role).symlink_to(getattr(cast, role))
    named = [f"--{role}=models/{role}" for role in ("teacher", "student", "baseline")]
    init(*named, "--training-set=data.npy", "--workflow=none")
    text = (audit_project.path / "audits/conftest.py").read_text()
    assert str(audit_project.path) not in text
    assert 'ROOT / "data.npy"' in text


def test_the_shipped_models_pass_what_it_writes(pytester, init):
    """As a newcomer begins: the settings of this project, its models, and a part of its corpus."""
    import gzip

    for name in ("training", "control"):
        with gzip.open(CORPUS / f"{name}.jsonl.gz", "rt") as file:
            lines = file.read().splitlines(keepends=True)
        kept = lines[::20] if name == "training" else lines[:60]
        Path(f"{name}.jsonl").write_text("".join(kept))
    models = [f"--{role}={MODELS / role}" for role in ("teacher", "student", "baseline")]
    code, _ = init(*models, "--training-set=training.jsonl", "--control-set=control.jsonl")
    assert code == 0
    pytester.makepyprojecttoml(
        "[tool.pytest]\nkdmem_window_tokens = 128\nkdmem_max_memorization_rate = 0.2\nkdmem_min_reduction = 1.2\n"
        "kdmem_max_inheritance_ratio = 0.2\n"
    )
    result = pytester.runpytest_inprocess("-p", "no:xdist", "-p", "no:cacheprovider", "audits")
    result.assert_outcomes(passed=4)


def test_without_names_it_writes_placeholders(init):
    code, said = init()
    assert code == 0
    assert "next: name your models in audits/conftest.py" in said
    text = Path("audits/conftest.py").read_text()
    assert '"runs/teacher"' in text
    assert sorted(files(Path.cwd())) == [
        ".github/workflows/memorization-audit.yml", "audits/conftest.py", "audits/test_release.py",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "there", ["audits/conftest.py", "audits/test_release.py", ".github/workflows/memorization-audit.yml"]
)
def test_where_a_file_stands_nothing_is_written(init, there):
    Path(there).parent.mkdir(parents=True)
    Path(there).write_text("mine")
    code, said = init()
    assert code == 2
    assert f"{there} is there already" in said
    assert files(Path.cwd()) == {there: b"mine"}


@pytest.mark.parametrize("name", ["it's", 'a"b', "a\nb", "a\\b", "{{ x }}", "学", "${{ x }}", '"); import os #'])
def test_any_name_is_a_string_in_what_it_writes(init, name):
    code, _ = init(f"--teacher=runs/{name}", f"--text-column={name}", "--control-set=c.jsonl")
    assert code == 0
    tree = ast.parse(Path("audits/conftest.py").read_text(encoding="utf-8"))
    strings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    assert name in strings
    assert any(str(one).endswith(f"runs/{name}") for one in strings)


def test_hub_ids_stay_as_they_are(init):
    init("--teacher=EleutherAI/pythia-160m", "--training-set=s3://bucket/train.jsonl")
    text = Path("audits/conftest.py").read_text()
    assert 'Model("EleutherAI/pythia-160m")' in text
    assert 'TrainingSet("s3://bucket/train.jsonl")' in text


def test_another_workflow_is_refused(init):
    code, said = init("--workflow=jenkins")
    assert code == 2
    assert "one of github, gitlab, none" in said
    assert files(Path.cwd()) == {}


def test_at_the_root_and_for_what_is_not_there_yet_paths_are_the_project_s(audit_project, init):
    (audit_project.path / "conftest.py").unlink()
    (audit_project.path / "runs").mkdir()
    code, _ = init(".", "--student=runs/s", "--teacher=someone/model", "--training-set=data.npy", "--workflow=none")
    text = (audit_project.path / "conftest.py").read_text()
    assert code == 0
    assert str(audit_project.path) not in text
    assert 'Model(ROOT / "runs/s")' in text
    assert 'Model("someone/model")' in text
    assert "parents[0]" in text


def test_the_gitlab_job_is_said_to_need_including(init):
    _, said = init("--workflow=gitlab")
    assert "include: { local: .gitlab/memorization-audit.yml }" in said


def test_several_releases_are_gated_together(audit_project, init):
    cast = audit_project.cast
    named = [f"--teacher={cast.teacher}", f"--student={cast.student}", f"--baseline={cast.baseline}"]
    for folder in ("one", "two"):
        code, _ = init(f"audits/{folder}", *named, "--training-set=data.npy", "--workflow=none")
        assert code == 0
    (audit_project.path / "conftest.py").unlink()
    audit_project.configure(kdmem_max_memorization_rate=0.25, kdmem_max_inheritance_ratio=0.25, kdmem_min_reduction=1.4)
    audit_project.run("audits").assert_outcomes(passed=6)


def test_a_second_workflow_says_how_to_do_without(init):
    assert init("audits/one")[0] == 0
    code, said = init("audits/two")
    assert code == 2
    assert "add --workflow=none" in said
