"""The command line as a whole: help, examples, exit codes, and what is imported."""

from __future__ import annotations

import signal
import subprocess
import sys
from importlib.metadata import version

import pytest
import typer.main

from pytest_kdmem.cli import app

HEAVY = ("torch", "transformers", "datasets", "sklearn", "scipy", "pyarrow", "numpy", "vllm", "ray", "pytest")


def commands() -> dict[str, typer.main.TyperCommand]:
    """Every command that runs something, by the words that call it."""
    root = typer.main.get_command(app).commands
    nested = {f"{name} {inner}": command for name in root for inner, command in commands_in(root[name]).items()}
    return {name: command for name, command in root.items() if not commands_in(command)} | nested


def commands_in(group):
    return getattr(group, "commands", {})


@pytest.mark.parametrize("words", ["", "cache", *commands()])
def test_every_command_prints_its_help(kdmem, words):
    done = kdmem(*words.split(), "--help")
    assert (done.code, done.err) == (0, "")
    assert done.out.strip().startswith("Usage:")
    assert words in done.out
    assert "--help" in done.out


def test_the_help_lists_every_command(kdmem):
    printed = kdmem("--help").out
    assert all(words.split()[0] in printed for words in commands())


@pytest.mark.parametrize("group", ["", "cache", "canaries"])
def test_no_summary_of_a_command_is_cut(kdmem, monkeypatch, group):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERMINAL_WIDTH", "80")
    printed = kdmem(*group.split(), "--help").out
    summaries = printed.partition("Commands:")[2]
    assert "..." not in summaries
    assert "…" not in summaries
    root = typer.main.get_command(app)
    words = " ".join(summaries.split())
    for command in commands_in(root.commands[group] if group else root).values():
        assert " ".join((command.help or "").partition("\n\n")[0].split()) in words


@pytest.mark.parametrize(("words", "command"), commands().items(), ids=list(commands()))
def test_every_help_text_is_a_sentence_that_stands_alone(words, command):
    texts = {parameter.name: parameter.help for parameter in command.params if parameter.name != "help"}
    for name, text in texts.items():
        assert text, name
        assert text[0].isupper() or not text[0].isascii(), (name, text)
        assert text.endswith("."), (name, text)
        assert not text.startswith(("Of ", "So many", "What ")), (name, text)
    assert command.help.strip().endswith(".")


@pytest.mark.parametrize(("words", "command"), commands().items(), ids=list(commands()))
def test_every_command_but_those_of_the_cache_ends_its_help_with_an_example(words, command):
    assert words.startswith("cache") or f"kdmem {words} " in command.epilog


def test_ctrl_c_is_told_in_a_sentence_and_has_the_exit_code_of_its_signal(kdmem, tiny, data, monkeypatch):
    def press(*_arguments: object, **_settings: object) -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("pytest_kdmem.scoring.score.score", press)
    done = kdmem("score", tiny, data, "--out", "scores.parquet")
    assert done.code == 130
    assert done.err.startswith("kdmem: Ctrl-C stopped this command")
    assert len(done.err.strip().splitlines()) == 1


def test_the_version_names_what_models_run_with_as_well(kdmem):
    done = kdmem("--version")
    versions = [f"{name} {version(package)}" for name, package in (("kdmem", "pytest-kdmem"), ("torch", "torch"))]
    assert done.code == 0
    assert [part for part in done.out.strip().split(", ") if part in versions] == versions
    assert "transformers" in done.out


@pytest.mark.parametrize(("words", "command"), commands().items(), ids=list(commands()))
def test_options_that_must_be_given_come_first_and_stand_in_the_first_line_of_the_help(kdmem, words, command):
    flags = [option for option in command.params if option.param_type_name == "option"]
    required = [option.opts[0] for option in flags if option.required]
    assert [option.opts[0] for option in flags][: len(required)] == required
    usage = " ".join(kdmem(*words.split(), "--help").out.partition("\n\n")[0].split())
    assert all(f"{flag} … " in usage for flag in required)


def test_unknown_command_is_a_usage_error(kdmem):
    done = kdmem("scroe")
    assert done.code == 2
    assert "scroe" in done.err


def test_missing_arguments_are_a_usage_error(kdmem):
    done = kdmem("score")
    assert done.code == 2
    assert "Missing argument" in done.err


def test_settings_are_named_as_commands_take_them(kdmem):
    """The same error names `--kdmem-labels-from` under pytest."""
    models = ["--teacher=t", "--baseline=b"]
    done = kdmem("risk", "train.jsonl", *models, "--labels-from=scores.parquet", "--predictor=predictor.json")
    assert done.code == 2
    assert done.err.endswith("drop --labels-from or --predictor.\n")


def test_a_quoted_file_name_is_no_command_of_a_ci_runner(kdmem):
    done = kdmem("score", "no/model", "data\n::error::x.npy", "--out", "data\n::error::x.npy")
    assert done.code == 2
    assert not [line for line in done.err.splitlines() if line.startswith("::")]


@pytest.mark.parametrize(
    "arguments", [[], ["--help"], ["distill", "--help"], ["--version"], ["risk", "--help"]], ids=" ".join
)
def test_help_loads_nothing_heavy(arguments):
    code = f"""
import sys
from pytest_kdmem.cli import main
try:
    main({arguments!r})
except SystemExit:
    pass
print(*[name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Usage" in done.stdout + done.stderr or "kdmem 0" in done.stdout
    assert done.stderr.split("\n")[-2] == ""
