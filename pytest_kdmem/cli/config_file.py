"""Reads options of a command from a TOML file (`--config`); those on the command line go before them."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any

import typer

from pytest_kdmem.base.text import nearest
from pytest_kdmem.errors import SpecError
from pytest_kdmem.errors.harmless import quoted

# What every command has, and a file cannot give.
NOT_IN_FILES = ("config", "help")


def read_config(context: typer.Context, path: Path | None) -> Path | None:
    """Take the options in a file for the command's defaults.

    Args:
        context: Context of the command.
        path: The file; None if there is none.

    Raises:
        SpecError: It is no TOML file, or names something that is no option of the command, or twice the same.
    """
    if path is not None:
        options = {_name(parameter): parameter for parameter in context.command.params if _name(parameter)}
        context.default_map = {}
        for key, value in _read(path).items():
            name = key.replace("_", "-")
            if name not in options:
                raise SpecError(
                    f"Options of kdmem {context.command.name} were expected in {path}, and {quoted(key)} is none; did"
                    f" you mean {nearest(name, options)}?"
                )
            parameter = options[name]
            if parameter.name in context.default_map:
                raise SpecError(f"Each option was expected once in {path}, and {name} occurs twice; remove one.")
            context.default_map[parameter.name or ""] = _value(name, value, parameter, path)
    return path


ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help="File of options (.toml), whose keys are the names of options without the leading dashes. Options on the"
        " command line take precedence.",
        is_eager=True,
        callback=read_config,
    ),
]


def _name(parameter: Any) -> str:
    """The key of an option in a file; "" of what a file cannot give."""
    names: list[str] = [option.removeprefix("--") for option in parameter.opts if option.startswith("--")]
    return names[0] if names and names[0] not in NOT_IN_FILES else ""


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SpecError(
            f"A file of options was expected at {path}, and it cannot be read ({error.strerror})."
        ) from None
    except ValueError as error:
        raise SpecError(
            f"A TOML file was expected at {path}, and it is not valid TOML ({quoted(str(error))})."
        ) from None


def _value(name: str, value: Any, parameter: Any, path: Path) -> Any:
    """A value as the command line would give it."""
    is_flag = getattr(parameter, "is_flag", False)
    if is_flag and not isinstance(value, bool):
        raise SpecError(f"{name} must be true or false in {path}; found {quoted(str(value))}.")
    if is_flag:
        return value
    if isinstance(value, bool):  # of settings that are yes or no
        return "yes" if value else "no"
    if not isinstance(value, (str, int, float)):
        kind = "a table" if isinstance(value, dict) else "a list" if isinstance(value, list) else "a date"
        raise SpecError(f"{name} must be one value in {path}, and it is {kind}.")
    return str(value)
