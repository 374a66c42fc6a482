"""What the package reads, and all that is made of it."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from pytest_kdmem.auditing.regression.reports import compare_reports
from pytest_kdmem.auditing.report import read_report
from pytest_kdmem.corpus.sources import check_source, expected_examples, fingerprint, read_documents
from pytest_kdmem.errors import KdmemError, SpecError
from pytest_kdmem.report import html, junit, markdown, sarif, terminal
from pytest_kdmem.report.github import workflow_commands
from pytest_kdmem.report.model_card import insert_results, read_card
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.scoring.store_files import checksum
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.checks import require, source
from pytest_kdmem.specs.declared import Model, TrainingSet
from pytest_kdmem.specs.locations import locate
from pytest_kdmem.specs.run_card import read_run_card
from tests.conftest import ROOT

REPORTS = ROOT / "tests" / "report" / "data"


def documents(name: str, folder: Path, order: str | None = None, **declared: Any) -> None:
    training_set = TrainingSet(folder / name, order=str(folder / order) if order else None, **declared)
    expected_examples(training_set, 16)
    for _ in read_documents(training_set, offline=True):
        pass
    fingerprint(training_set)


def checkpoint(folder: Path) -> None:
    open_checkpoint(Model(folder / "model"), offline=True)
    read_run_card(folder / "model")


def adapter(folder: Path) -> None:
    merged = open_checkpoint(Model(folder / "adapter", base=str(folder / "model")), offline=True)
    merged.weights_digest_again()


def rendered(folder: Path) -> None:
    report = read_report(folder / "report.json")
    report.to_json()
    terminal.render(report, verbosity=1, color=True)
    terminal.render(report, unicode=False, width=40)
    for render in (markdown.render, sarif.render, junit.render, workflow_commands):
        render(report)
    compare_reports(report, report)
    for audit in report.audits:
        insert_results("", audit)


def pictured(folder: Path) -> None:
    html.render(read_report(folder / "report.json"))


def card(folder: Path) -> None:
    insert_results(read_card(folder / "README.md"), read_report(REPORTS / "inconclusive.json").audits[0])


def shard(folder: Path) -> None:
    """A shard is renamed to its own checksum, so that its rows are read."""
    path = next((folder / "scores").rglob("*.parquet"))
    content = path.read_bytes()
    right = path.with_name(f"{path.name.partition('.')[0]}.{checksum(content)}.parquet")
    path.rename(right)
    store = ScoreStore(folder)
    list(store.shards())
    store.read_shard(right.parent.name, right.name.partition(".")[0])


def entries(folder: Path) -> None:
    store = ScoreStore(folder)
    list(store.records())
    for path in (folder / "confirmations").glob("*.json"):
        store.read_entry("confirmations", path.stem)


def settings(folder: Path) -> None:
    import tomllib

    import pytest

    from pytest_kdmem.plugin.settings import read_settings
    from pytest_kdmem.plugin.validation import check_settings

    try:
        values = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["pytest"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return  # pytest itself reads the file, and refuses it

    class Config:
        rootpath = folder

        def getoption(self, name: str) -> None:
            return None

        def getini(self, name: str) -> Any:
            return values.get(name) if isinstance(values, dict) else None

    try:
        check_settings(read_settings(Config()))  # type: ignore[arg-type]
    except pytest.UsageError as error:
        raise SpecError(str(error)) from None


def study(folder: Path) -> None:
    from pytest_kdmem.study.config_file import read_config  # it imports torch

    read_config(folder / "study.toml")


def names(folder: Path) -> None:
    """A text in place of a path, a hub id or an address."""
    text = (folder / "name").read_bytes().decode("utf-8", "surrogateescape")
    with suppress(KdmemError):
        check_source(TrainingSet(text))
    with suppress(KdmemError):
        locate(Model(text), offline=True)
    require("a text", text, source)
