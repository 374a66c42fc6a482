"""The files that `kdmem init` writes are Python that names what the user named, from wherever it is run."""

from __future__ import annotations

import ast

import pytest

from pytest_kdmem.cli.starter import Starter, write_starter
from pytest_kdmem.errors import DataError


def conftest(starter: Starter) -> str:
    """The content of the conftest, without writing it."""
    return starter.files()[starter.folder / "conftest.py"]


def strings(source: str) -> set[object]:
    return {node.value for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)}


@pytest.mark.parametrize("name", ["it's", 'a"b', "a\nb", "a\\b", "{{ x }}", "学", "${{ x }}", '"); import os #'])
def test_any_name_is_a_string_in_the_conftest(tmp_path, name):
    sources = {"teacher": f"runs/{name}", "control_set": "c.jsonl"}
    values = strings(conftest(Starter(tmp_path / "audits", tmp_path, sources, reading={"text_column": name})))
    assert name in values
    assert any(str(value).endswith(f"runs/{name}") for value in values)


def test_a_teacher_set_that_is_given_has_a_fixture_and_a_gate(tmp_path):
    for sources in ({"student": "runs/s"}, {"student": "runs/s", "teacher_set": "data/secret.jsonl"}):
        starter = Starter(tmp_path / "audits", tmp_path, sources)
        gates = starter.files()[starter.folder / "test_release.py"]
        assert ("def teacher_set():" in conftest(starter)) == ("teacher_set" in sources)
        assert ("assert memorization(student, teacher_set).rate <=" in gates) == ("teacher_set" in sources)
        ast.parse(gates)


def test_hub_ids_and_addresses_stay_as_they_are(tmp_path):
    sources = {"teacher": "EleutherAI/pythia-160m", "training_set": "s3://bucket/train.jsonl"}
    text = conftest(Starter(tmp_path / "audits", tmp_path, sources))
    assert 'Model("EleutherAI/pythia-160m")' in text
    assert 'TrainingSet("s3://bucket/train.jsonl")' in text


def test_paths_below_the_root_are_relative_to_it(tmp_path):
    (tmp_path / "runs").mkdir()
    sources = {"teacher": str(tmp_path / "runs/t"), "student": "runs/s", "training_set": "data.npy"}
    text = conftest(Starter(tmp_path / "gates/release", tmp_path, sources))
    assert str(tmp_path) not in text
    assert "ROOT = Path(__file__).parents[2]" in text
    for expression in ('Model(ROOT / "runs/t")', 'Model(ROOT / "runs/s")', 'TrainingSet(ROOT / "data.npy")'):
        assert expression in text


def test_an_audit_at_the_root_has_the_root_as_its_own_folder(tmp_path):
    assert "ROOT = Path(__file__).parents[0]" in conftest(Starter(tmp_path, tmp_path, {"training_set": "data.npy"}))


def test_links_are_written_as_links(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "project").mkdir()
    (tmp_path / "project/current").symlink_to(tmp_path / "elsewhere")
    text = conftest(Starter(tmp_path / "project/audits", tmp_path / "project", {"student": "current"}))
    assert 'Model(ROOT / "current")' in text


def test_for_an_audit_outside_the_root_paths_are_absolute(tmp_path):
    (tmp_path / "project/runs").mkdir(parents=True)
    starter = Starter(tmp_path / "audits", tmp_path / "project", {"student": "runs/s"}, workflow="none")
    text = conftest(starter)
    assert f'Model("{tmp_path}/project/runs/s")' in text
    assert "ROOT" not in text


def test_test_files_of_several_audits_have_different_names(tmp_path):
    names = {next(reversed(Starter(tmp_path / name, tmp_path, workflow="none").files())).name for name in ("a b", "c")}
    assert names == {"test_a_b.py", "test_c.py"}


@pytest.mark.parametrize("dangling", [False, True])
def test_where_a_file_exists_nothing_is_written(tmp_path, dangling):
    existing = tmp_path / "audits/test_release.py"
    existing.parent.mkdir()
    existing.symlink_to(tmp_path / "nowhere") if dangling else existing.write_text("mine")
    with pytest.raises(DataError, match=r"test_release\.py exists already; name another folder, or move the file\.$"):
        write_starter(Starter(tmp_path / "audits", tmp_path))
    assert [path.name for path in tmp_path.rglob("*") if not path.is_dir()] == ["test_release.py"]
