"""Commands run in this process, in an empty folder, with no settings but their own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pytest_kdmem.cli import main
from tests.audit_project import Cast, rows_of_cells, word

# How lines about what is opened and trained begin.
DOING = "opening|loading|reading|train|fitting|looking|drawing|copying|writing".split("|")
PROGRESS = tuple(f"kdmem: {doing} " for doing in DOING)


class Outcome(NamedTuple):
    """How a command ended, and what it printed; what it said of its progress on stderr stands apart."""

    code: int | str | None
    out: str
    err: str
    progress: str = ""


@pytest.fixture(autouse=True)
def _no_settings(no_settings_from_outside: None) -> None:
    pass


@pytest.fixture
def kdmem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Outcome]:
    """Runs a command in a folder of its own."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str | Path) -> Outcome:
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        assert "Traceback" not in printed.out + printed.err
        progress, err = [], []
        for line in printed.err.splitlines(keepends=True):
            (progress if line.startswith(PROGRESS) else err).append(line)
        return Outcome(end.value.code or 0, printed.out, "".join(err), "".join(progress))

    return run


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """Models this small run slower with several threads than with one."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def rows(tiny: Path, recited_ids: Callable[..., np.ndarray]) -> np.ndarray:
    """Token ids [12, 100], of which the model recites the even rows."""
    return recited_ids(tiny)


@pytest.fixture
def data(rows: np.ndarray, tmp_path: Path) -> Path:
    """The rows in a file."""
    np.save(tmp_path / "data.npy", rows)
    return tmp_path / "data.npy"


@pytest.fixture(scope="session")
def scored_cache(tiny: Path, rows: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder with the scores of the rows."""
    folder = tmp_path_factory.mktemp("scored")
    np.save(folder / "data.npy", rows)
    out = ["--out", str(folder / "scores.parquet"), "--cache-dir", str(folder / "cache")]
    with pytest.raises(SystemExit) as end:
        main(["score", str(tiny), str(folder / "data.npy"), *out])
    assert not end.value.code
    return folder / "cache"


@pytest.fixture
def scored(scored_cache: Path, tmp_path: Path) -> Path:
    """The scores of the rows in the cache of this test's folder."""
    return Path(shutil.copytree(scored_cache, tmp_path / ".kdmem"))


@pytest.fixture(scope="session")
def training_lines() -> list[str]:
    """Lines of a training set: 100 distinct rows of the cast, ten of them a second time, and a blank line."""
    distinct = rows_of_cells(**{"teacher+baseline": 10, "all": 15, "none": 37, "teacher": 20, "student": 18})
    texts = [" ".join(word(token) for token in row) for row in distinct.tolist()]
    lines = [json.dumps({"id": number, "text": text}) for number, text in enumerate([*texts, *texts[:10]])]
    return [*lines[:3], "", *lines[3:]]


def pair_arguments(cast: Cast) -> list[str]:
    """The models that risk is predicted from, and the lengths of their rows."""
    return [f"--teacher={cast.teacher}", f"--baseline={cast.baseline}", "--prefix-tokens=12", "--suffix-tokens=8"]


@pytest.fixture(scope="session")
def predicted_cache(cast: Cast, training_lines: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache folder in which teacher and baseline are scored over the training set, and a predictor is fitted."""
    folder = tmp_path_factory.mktemp("predicted")
    (folder / "train.jsonl").write_text("\n".join(training_lines) + "\n")
    with pytest.raises(SystemExit) as end:
        main(["prefilter", str(folder / "train.jsonl"), *pair_arguments(cast), f"--cache-dir={folder / 'cache'}",
              f"--out={folder / 'cleaned'}"])  # fmt: skip
    assert not end.value.code
    return folder / "cache"


@pytest.fixture
def predict(
    kdmem: Callable[..., Outcome], cast: Cast, training_lines: list[str], predicted_cache: Path, tmp_path: Path
) -> Callable[..., Outcome]:
    """Runs `kdmem risk` or `kdmem prefilter` over train.jsonl, which is scored already, or over other data."""
    (tmp_path / "train.jsonl").write_text("\n".join(training_lines) + "\n")
    shutil.copytree(predicted_cache, tmp_path / ".kdmem")

    def run(command: str, *arguments: str, data: str = "train.jsonl") -> Outcome:
        return kdmem(command, data, *pair_arguments(cast), *arguments)

    return run


@pytest.fixture
def parquet(predict: Callable[..., Outcome]) -> Path:
    """The training set as a table."""
    rows = [json.loads(line) for line in Path("train.jsonl").read_text().splitlines() if line]
    pq.write_table(pa.Table.from_pylist(rows), "rows.parquet")
    return Path("rows.parquet")
