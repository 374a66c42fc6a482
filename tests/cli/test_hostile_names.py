"""What commands quote of names and keys steers no terminal and gives no command to a CI runner."""

from __future__ import annotations

import json
import re

import pytest

from pytest_kdmem.cli import main

EVIL = (
    "\x1b[31mred", "\x1b]0;owned\x07", "\x9b2J", "::error::owned", "\n::error::owned", "\r##[error]owned", "##vso[x]y",
    "\u202e",
)  # fmt: skip


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys):
    """Runs a command that refuses, and returns the one line that it says."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> str:
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        output = capsys.readouterr()
        assert ended.value.code == 2
        assert output.out == ""
        *progress, line = output.err.split("\n")[:-1]
        for shown in (*progress, line):
            assert shown.startswith("kdmem: ")
            assert not re.search("[\x00-\x1f\x7f-\x9f\u202a-\u202e]", shown)
            assert not re.search(r"##\w*\[|^\s*::", shown.removeprefix("kdmem: "))
        assert all(shown.startswith(("kdmem: opening ", "kdmem: loading ")) for shown in progress)
        return line

    return run


@pytest.mark.parametrize("evil", EVIL, ids=range(len(EVIL)))
def test_a_key_of_a_report(refused, tmp_path, evil):
    (tmp_path / "a.json").write_text(json.dumps({"schema_version": 1, evil: 1}))
    refused("report", "a.json", "--to", "b.html")


@pytest.mark.parametrize("evil", EVIL, ids=range(len(EVIL)))
def test_a_name_of_a_file(refused, evil):
    refused("report", f"{evil}.json", "--to", "b.html")
    refused("card", f"{evil}.json", "README.md")
    refused("merge", evil)


@pytest.mark.parametrize("evil", EVIL, ids=range(len(EVIL)))
def test_a_model_and_a_set(refused, evil):
    refused("score", evil, "data.npy", "--out", "s.parquet")


def test_an_error_of_a_hundred_thousand_characters(refused, tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"schema_version": 1, **{f"key{n}": 1 for n in range(20_000)}}))
    assert len(refused("report", "a.json", "--to", "b.html")) < 2100


def test_an_error_of_another_kind_is_a_sentence_without_its_message(tmp_path, monkeypatch, capsys):
    from pytest_kdmem.auditing import report

    def broken(path):
        raise KeyError("a training text")

    monkeypatch.setattr(report, "read_report", broken)
    with pytest.raises(SystemExit) as ended:
        main(["report", "a.json", "--to", "b.html"])
    assert ended.value.code == 70
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("kdmem: KeyError at ")
    assert "training text" not in line.partition("The data that caused it")[0]


NO_MEMORY = (MemoryError(), OSError(12, "Cannot allocate memory"), RuntimeError("can't allocate memory: 9 bytes"))


@pytest.mark.parametrize("error", NO_MEMORY, ids=["Python", "system", "torch"])
def test_the_end_of_memory_is_a_sentence(monkeypatch, capsys, error):
    from pytest_kdmem.auditing import report

    def broken(path):
        raise error

    monkeypatch.setattr(report, "read_report", broken)
    with pytest.raises(SystemExit) as ended:
        main(["report", "a.json", "--to", "b.html"])
    assert ended.value.code == 70
    assert "This process needs more memory than it may use" in capsys.readouterr().err
