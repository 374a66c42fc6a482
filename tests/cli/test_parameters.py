"""What the command line makes of a function's parameters: settings, options of its own, and groups of both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import typer
import typer.main
from typer.testing import CliRunner

from pytest_kdmem.cli.parameters import HelpFromDocstring, Spelling, argument_docs, typer_command
from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.options import OPTIONS

HELP = {option.key: option.help for option in OPTIONS}


@dataclass(frozen=True, kw_only=True)
class Sampling:
    sample: int | None
    seed: int
    twice: Annotated[bool, typer.Option("--twice", help="Draw twice.")] = False


@dataclass(frozen=True)
class Baking:
    """How bread is baked.

    Args:
        flour: Kind of ``flour``, which
            decides the taste.
        minutes: Minutes in the oven. None: until it is done.

    Raises:
        ValueError: There is no oven.
    """

    flour: Literal["rye", "wheat"] = "rye"
    minutes: int | None = None
    offline: bool = False

    def __post_init__(self) -> None:
        if self.flour not in ("rye", "wheat"):
            raise SpecError(f"flour must be rye or wheat; found {self.flour!r}.")


def invoke(command: Callable[..., None], *arguments: str) -> Any:
    """Run a command and raise what it raises."""
    app = typer.Typer(rich_markup_mode=None)
    app.command()(typer_command(command))
    result = CliRunner().invoke(app, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def parameters_of(command: Callable[..., None]) -> dict[str, Any]:
    app = typer.Typer(add_completion=False)
    app.command()(typer_command(command))
    return {
        parameter.opts[0]: parameter for parameter in typer.main.get_command(app).params if parameter.name != "help"
    }


def test_a_parameter_named_like_a_setting_takes_its_default_and_help() -> None:
    received = []

    def command(prefix_tokens: int, cache_dir: Path, offline: bool) -> None:
        received.append((prefix_tokens, cache_dir, offline))

    assert {flag: parameter.help for flag, parameter in parameters_of(command).items()} == {
        "--prefix-tokens": HELP["prefix_tokens"], "--cache-dir": HELP["cache_dir"], "--offline": HELP["offline"],
    }  # fmt: skip
    invoke(command)
    invoke(command, "--prefix-tokens=7", "--cache-dir=scores", "--offline")
    assert received == [(50, Path(".kdmem"), False), (7, Path("scores"), True)]


def test_settings_come_last_and_in_the_order_of_all_settings() -> None:
    def command(seed: int, form: str, sample: int | None, twice: Annotated[bool, typer.Option("--twice")]) -> None:
        pass

    assert list(parameters_of(command)) == ["--twice", "--form", "--sample", "--seed"]


def test_a_setting_without_a_default_is_required_unless_it_may_be_none() -> None:
    def command(teacher: str, student: str | None) -> None:
        assert student is None

    assert [parameter.required for parameter in parameters_of(command).values()] == [True, False]
    assert invoke(command, "--teacher=t").exit_code == 0
    assert invoke(command).exit_code == 2


def test_a_setting_may_have_another_flag_or_be_positional() -> None:
    received = []

    def command(
        training_set: Annotated[str, Spelling(positional=True)],
        risk_threshold: Annotated[float | None, Spelling(flag="--threshold")],
    ) -> None:
        received.append((training_set, risk_threshold))

    invoke(command, "train.jsonl", "--threshold", "0.25")
    assert received == [("train.jsonl", 0.25)]
    with pytest.raises(SpecError, match=r"^--threshold must be a number above 0 and below 1; found 1\.0\.$"):
        invoke(command, "train.jsonl", "--threshold", "1")


def test_a_parameter_that_is_neither_is_refused_when_the_command_is_made() -> None:
    def command(colour: str) -> None:
        pass

    with pytest.raises(KeyError, match="colour"):
        typer_command(command)


def test_a_dataclass_stands_for_its_fields() -> None:
    received = []

    def command(sampling: Sampling, text_column: str) -> None:
        received.append((sampling, text_column))

    invoke(command)
    invoke(command, "--sample=5", "--twice", "--seed=3", "--text-column=body")
    assert received == [
        (Sampling(sample=None, seed=0, twice=False), "text"),
        (Sampling(sample=5, seed=3, twice=True), "body"),
    ]


def test_a_dataclass_with_documented_fields_brings_its_own_help_and_defaults() -> None:
    received = []

    def command(baking: Annotated[Baking, HelpFromDocstring()]) -> None:
        received.append(baking)

    parameters = parameters_of(command)
    assert {flag: parameter.help for flag, parameter in parameters.items()} == {
        "--flour": "Kind of flour, which decides the taste.",
        "--minutes": "Minutes in the oven. If not given, until it is done.",
        "--offline": "",
    }
    invoke(command)
    invoke(command, "--flour=wheat", "--minutes=9", "--offline")
    assert received == [Baking(), Baking("wheat", 9, True)]
    with pytest.raises(SpecError, match="flour must be rye or wheat"):
        invoke(command, "--flour=spelt")


def test_two_groups_with_the_same_option_are_refused_when_the_command_is_made() -> None:
    def command(sampling: Sampling, seed: int) -> None:
        pass

    with pytest.raises(ValueError, match="duplicate parameter name: 'seed'"):
        typer_command(command)


def test_a_value_that_fails_its_check_never_reaches_the_command() -> None:
    def command(engine: str) -> None:
        pytest.fail("the command ran")

    with pytest.raises(SpecError, match=r"^--engine must be one of auto, transformers, vllm; found 'tensorflow'\.$"):
        invoke(command, "--engine=tensorflow")


def test_of_all_settings_the_cache_folder_alone_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    received = []

    def command(cache_dir: Path, text_column: str) -> None:
        received.append((cache_dir, text_column))

    monkeypatch.setenv("KDMEM_CACHE_DIR", "from-environment")
    monkeypatch.setenv("KDMEM_TEXT_COLUMN", "from-environment")
    invoke(command)
    assert received == [(Path("from-environment"), "text")]


def test_documented_arguments_are_read_to_their_end() -> None:
    assert argument_docs(Baking) == {
        "flour": "Kind of flour, which decides the taste.",
        "minutes": "Minutes in the oven. If not given, until it is done.",
    }


def test_a_class_without_documented_arguments_has_none() -> None:
    assert argument_docs(Sampling) == {}
