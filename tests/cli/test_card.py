"""`kdmem card` writes an audit's results into a model card, in place, and refuses what it cannot update."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from huggingface_hub import ModelCard

from pytest_kdmem.auditing.report import Report
from pytest_kdmem.base.files import write_json
from pytest_kdmem.cli.card import card
from pytest_kdmem.errors import KdmemError
from pytest_kdmem.report.card_table import insert_table
from pytest_kdmem.report.eval_results import eval_results
from pytest_kdmem.report.model_card import insert_results
from tests.report.audits import full_audit

CARD = "---\r\nmodel-index:\r\n- name: my model  # ours\r\n  results: []\r\n---\r\n# Title\r\n"


@pytest.fixture
def record(tmp_path: Path) -> Path:
    path = tmp_path / "audit.json"
    write_json(full_audit().to_json(), path)
    return path


def run(*arguments: str) -> None:
    app = typer.Typer()
    app.command()(card)
    app(list(arguments), standalone_mode=False)


def test_a_card_is_updated_in_place(tmp_path: Path, record: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "README.md"
    path.write_bytes(CARD.encode())
    run(str(record), str(path))
    assert path.read_bytes().decode() == insert_table(insert_results(CARD, full_audit()), full_audit())
    assert ModelCard.load(path).data.model_name == "my model"
    assert str(path) in capsys.readouterr().out.replace("\n", "")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["README.md", "audit.json"]


def test_a_card_is_created_where_there_is_none(tmp_path: Path, record: Path) -> None:
    path = tmp_path / "README.md"
    run(str(record), str(path))
    assert ModelCard.load(path).text.startswith("\n# student\n\n<!-- pytest-kdmem: begin")
    stamp = path.stat().st_mtime_ns
    run(str(record), str(path))
    assert path.stat().st_mtime_ns == stamp


def test_a_card_that_cannot_be_updated_is_refused_and_stays_as_it_is(tmp_path: Path, record: Path) -> None:
    path = tmp_path / "README.md"
    path.write_bytes(b"---\na: [\n---\n")
    several = tmp_path / "several.json"
    several.write_text(json.dumps(Report((full_audit(), full_audit(name="b"))).to_json()))
    for arguments in (
        (record, path), (record, tmp_path), (record, tmp_path / "no" / "README.md"), (record, record), (several, path),
        (tmp_path / "absent.json", path),
    ):  # fmt: skip
        with pytest.raises(KdmemError, match=r"^[^\n]+\.$"):
            run(*map(str, arguments))
    assert path.read_bytes() == b"---\na: [\n---\n"


def test_results_of_a_benchmark_are_written_beside_the_card(
    tmp_path: Path, record: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, results = tmp_path / "README.md", tmp_path / ".eval_results" / "pytest-kdmem.yaml"
    run(str(record), str(path))
    assert not results.parent.exists()
    run(str(record), str(path), "--benchmark", "owner/data")
    assert results.read_text(encoding="utf-8") == eval_results(full_audit(), "owner/data")
    assert str(results) in capsys.readouterr().out.replace("\n", "")
    for arguments in ((), ("--benchmark", "data")):
        with pytest.raises(KdmemError, match=r"--benchmark"):
            run(str(record), str(path), *arguments)


def test_a_card_is_not_written_where_the_results_are_refused(tmp_path: Path, record: Path) -> None:
    path = tmp_path / "README.md"
    write_json(full_audit(training_set=None).to_json(), record)
    with pytest.raises(KdmemError, match="over the training set was expected"):
        run(str(record), str(path), "--benchmark", "owner/data")
    assert not path.exists()
