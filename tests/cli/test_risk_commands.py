"""`kdmem risk` and `kdmem prefilter`, in this process: what they write, what they refuse, and that nothing is lost."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

ROWS = {"teacher+baseline": 10, "all": 15, "none": 37, "teacher": 20, "student": 18}


@pytest.fixture
def lines(audit_project, monkeypatch):
    """Lines of train.jsonl in the working directory: 100 distinct ones, ten of the recited twice, and a blank one."""
    monkeypatch.chdir(audit_project.path)
    texts = [" ".join(f"zq{token:03d}x" for token in row) for row in audit_project.rows(**ROWS).tolist()]
    found = [json.dumps({"id": at, "text": text}) for at, text in enumerate([*texts, *texts[:10]])]
    found.insert(3, "")
    Path("train.jsonl").write_text("\n".join(found) + "\n")
    return found


@pytest.fixture
def kdmem(audit_project, monkeypatch, capsys):
    """Runs a command over the cast's teacher and baseline: its exit code and what it said."""
    from pytest_kdmem.cli import main

    monkeypatch.setenv("COLUMNS", "200")
    cast = audit_project.cast

    def run(command: str, *arguments: str, data: str = "train.jsonl") -> tuple[int, str]:
        models = [f"--teacher={cast.teacher}", f"--baseline={cast.baseline}"]
        with pytest.raises(SystemExit) as ended:
            main([command, data, *models, "--prefix-tokens=12", "--suffix-tokens=8", *arguments])
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return int(ended.value.code or 0), said.out + said.err

    return run


def test_a_cleaned_set_holds_the_other_lines_byte_for_byte(lines, kdmem):
    code, said = kdmem("prefilter", "--out=cleaned")
    assert code == 0
    folder = Path("cleaned")
    assert sorted(path.name for path in folder.iterdir()) == [
        "dropped.parquet",
        "manifest.json",
        "predictor.json",
        "train.jsonl",
    ]
    dropped = pq.read_table(folder / "dropped.parquet").to_pylist()
    gone = {row["example_id"] for row in dropped}
    assert gone >= {*range(25), *range(100, 110)}
    documents = [line for line in lines if line]
    kept = [line for line in lines if not line or documents.index(line) not in gone]
    assert (folder / "train.jsonl").read_text() == "\n".join(kept) + "\n"
    manifest = json.loads((folder / "manifest.json").read_text())
    assert sum(manifest["dropped"].values()) == len(dropped)
    assert manifest["dropped"]["exact duplicate"] == 10
    assert manifest["written"]["rows"] == 110 - len(dropped)
    assert f"left out {len(dropped)} of 110 rows" in said
    for path in folder.iterdir():
        assert path.name == "train.jsonl" or b"zq0" not in path.read_bytes()
    assert not list(Path().glob(".cleaned*"))


def test_its_predictor_gates_what_is_left(lines, kdmem):
    kdmem("prefilter", "--out=cleaned", "--recall=99%")
    code, said = kdmem("risk", data="cleaned/train.jsonl")
    assert code == 2
    assert "At least 10 memorized examples are needed" in said
    code, said = kdmem("risk", "--predictor=cleaned/predictor.json", data="cleaned/train.jsonl")
    assert code == 0
    assert "predicted risk: 0.00%" in said


def test_a_budget_is_kept(lines, kdmem):
    assert kdmem("prefilter", "--out=cleaned", "--at-most=5%")[0] == 0
    assert 0 < len(pq.read_table("cleaned/dropped.parquet")) <= 5


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--threshold=0.5", "--recall=90%"], "One of --threshold, --recall and --at-most was expected; found"),
        (["--at-most=0"], "--at-most must be a share between 0 and 1"),
        (["--form=blocks"], "blocks hold parts of several"),
        (["--predictor=nowhere.json"], "there is no such file"),
        (["--labels-from=nowhere.parquet"], "there is no such file"),
        (["--features=few"], "--features must be one of study, all"),
    ],
    ids=["two", "share", "blocks", "predictor", "labels", "features"],
)
def test_what_cannot_be_is_one_sentence_and_nothing_is_written(lines, kdmem, arguments, words):
    code, said = kdmem("prefilter", "--out=cleaned", *arguments)
    assert code == 2
    assert words in said
    assert not list(Path().glob("*cleaned*"))
    assert not Path(".kdmem").exists()


def test_what_is_there_stays(lines, kdmem):
    Path("cleaned").mkdir()
    Path("cleaned/mine").write_text("mine")
    code, said = kdmem("prefilter", "--out=cleaned")
    assert code == 2
    assert "cleaned is there already; remove it" in said
    assert Path("cleaned/mine").read_text() == "mine"


def test_a_copy_that_fails_leaves_nothing(lines, kdmem, monkeypatch):
    def broken(*given):
        raise OSError(28, "No space left on device")

    # By name: pytester may have dropped the module since the package last knew it.
    monkeypatch.setattr(import_module("pytest_kdmem.risk.prefilter"), "copy_documents", broken)
    code, said = kdmem("prefilter", "--out=cleaned")
    assert code == 2
    assert "No space left on device" in said
    assert not list(Path().glob("*cleaned*"))


def test_a_set_of_a_name_that_is_taken_is_refused(lines, kdmem):
    pq.write_table(pq.read_table(_as_parquet()), "dropped.parquet")
    code, said = kdmem("prefilter", "--out=cleaned", data="dropped.parquet")
    assert code == 2
    assert "A training set of another name was expected" in said


def _as_parquet() -> str:
    import pyarrow as pa

    rows = [json.loads(line) for line in Path("train.jsonl").read_text().splitlines() if line]
    pq.write_table(pa.Table.from_pylist(rows), "rows.parquet")
    return "rows.parquet"


def test_nothing_is_written_over_what_is_read(lines, kdmem):
    data = _as_parquet()
    code, said = kdmem("risk", f"--out={data}", data=data)
    assert code == 2
    assert "--out would write over the training set, rows.parquet" in said
    assert len(pq.read_table(data)) == 110


def test_risks_are_told_and_written(lines, kdmem):
    code, said = kdmem("risk", "--save=p.json", "--out=risk.parquet", "--features=all")
    assert code == 0
    for words in ("25 of 100 distinct examples recited by teacher and baseline", "ROC-AUC", "0.9997", "Brier score"):
        assert words in said
    table = pq.read_table("risk.parquet")
    assert len(table) == 100
    assert table["copies"].to_pylist()[:12] == [2] * 10 + [1] * 2
    assert json.loads(Path("p.json").read_text())["features"][-1] == "copies"
    assert "at risk: 10 with exact duplicates" in said


def test_token_ids_without_a_tokenizer_cannot_be_predicted_from(audit_project, kdmem, make_model, monkeypatch, capsys):
    from pytest_kdmem.cli import main

    monkeypatch.chdir(audit_project.path)
    folders = [make_model(seed=seed) for seed in (1, 2)]
    for folder in folders:
        for name in ("tokenizer.json", "tokenizer_config.json"):
            (folder / name).unlink()
    np.save("ids.npy", audit_project.rows(**ROWS))
    with pytest.raises(SystemExit) as ended:
        main(["risk", "ids.npy", f"--teacher={folders[0]}", f"--baseline={folders[1]}", "--prefix-tokens=12",
              "--suffix-tokens=8"])  # fmt: skip
    assert ended.value.code == 2
    assert "no tokenizer lies beside the models, so there is no text to compress" in capsys.readouterr().err
