"""Turns a command's function into what typer reads, with the parameters of settings taken from OPTIONS.

Each parameter of the function becomes a parameter of the command line:

- A parameter that is named like a setting takes flag, help, default and check from OPTIONS.
- A parameter annotated with `typer.Option` or `typer.Argument` belongs to this command alone.
- A parameter whose type is a dataclass stands for all fields of the dataclass.
"""

from __future__ import annotations

import inspect
import re
import signal
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import typer
from typer.models import ArgumentInfo, OptionInfo

from pytest_kdmem.errors import Interrupted, SpecError
from pytest_kdmem.specs.checks import on_this_machine, require, to_truth
from pytest_kdmem.specs.option import Option
from pytest_kdmem.specs.options import OPTIONS

SETTINGS = {option.key: option for option in OPTIONS}
ORDER = {option.key: place for place, option in enumerate(OPTIONS)}
# Commands read no other setting from the environment.
READ_FROM_ENVIRONMENT = ("cache_dir",)
# What the command that runs was called with.
CONTEXT: ContextVar[typer.Context | None] = ContextVar("context", default=None)
STOPPED = (
    "Ctrl-C stopped this command. What it had finished is kept; run the same command again to continue from there."
)


@dataclass(frozen=True)
class Spelling:
    """Marks a setting that a command does not take as `--NAME`.

    Args:
        flag: Flag to use instead of `--NAME`.
        positional: Whether the setting is a positional argument.
    """

    flag: str = ""
    positional: bool = False


@dataclass(frozen=True)
class HelpFromDocstring:
    """Marks a dataclass whose fields are no settings: their help is the section "Args" of its docstring."""


@dataclass(frozen=True)
class Member:
    """A parameter of a function, or a field of a dataclass.

    Args:
        name: Name in Python.
        kind: Type without marks.
        marks: What else stands in `Annotated`.
        default: Default value; `inspect.Parameter.empty` if there is none.
        help: Help text, where it comes from a docstring.
    """

    name: str
    kind: Any
    marks: tuple[Any, ...]
    default: Any
    help: str | None

    @property
    def is_group(self) -> bool:
        """Whether the parameter stands for the fields of a dataclass."""
        return is_dataclass(self.kind)

    def mark(self, kind: type) -> Any:
        """Return the mark of this type, or None."""
        return next((mark for mark in self.marks if isinstance(mark, kind)), None)

    @property
    def setting(self) -> Option | None:
        """The setting of this name, or None if the parameter belongs to the command alone."""
        own = self.help is not None or self.mark(OptionInfo) or self.mark(ArgumentInfo)
        return None if own else SETTINGS[self.name]

    @property
    def flag(self) -> str:
        spelling = self.mark(Spelling)
        return spelling.flag if spelling and spelling.flag else f"--{self.name.replace('_', '-')}"

    @property
    def is_positional(self) -> bool:
        """Whether it is given by its place, without a flag."""
        spelling = self.mark(Spelling)
        return self.mark(ArgumentInfo) is not None or (spelling is not None and spelling.positional)

    @property
    def is_required(self) -> bool:
        """Whether it is an option that the command cannot do without."""
        default = _setting_default(setting, self.kind) if (setting := self.setting) else self.default
        return default is inspect.Parameter.empty and not self.is_positional

    @property
    def place_in_help(self) -> tuple[bool, int]:
        """Options that must be given come first, and settings last, in the order of all settings."""
        return not self.is_required, ORDER[self.name] if self.setting else -1


def typer_command(command: Callable[..., None]) -> Callable[..., None]:
    """Return the function that typer registers for a command; it checks the settings and calls the command."""
    members = sorted(_flat_members(command), key=lambda member: member.place_in_help)

    def call(context: typer.Context, **values: Any) -> None:
        for member in members:
            _check_paths(member, values[member.name])
            if member.setting and values[member.name] is not None:
                if member.setting.kind == "truth":
                    values[member.name] = _truth(member.flag, values[member.name])
                require(member.flag, values[member.name], member.setting.check)
        before = CONTEXT.set(context)
        try:
            _construct(command, values)
        except KeyboardInterrupt:
            raise Interrupted(STOPPED, signal.SIGINT) from None
        finally:
            CONTEXT.reset(before)

    call.__name__, call.__doc__ = command.__name__, command.__doc__
    context = inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    parameters = [context, *map(_parameter, members)]
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return call


def is_given(name: str) -> bool:
    """Whether the command that runs was given a parameter, on its command line or in its file of options."""
    context = CONTEXT.get()
    source = context.get_parameter_source(name) if context is not None else None
    return source is not None and source.name != "DEFAULT"


def usage_of(command: Callable[..., None]) -> str:
    """What the first line of a command's help says of its options: those that it needs, by name."""
    return " ".join([*(f"{member.flag} …" for member in _flat_members(command) if member.is_required), "[OPTIONS]"])


def argument_docs(documented: type) -> dict[str, str]:
    """Return the texts of the section "Args" of a docstring by argument, in the words of a command line."""
    section = inspect.cleandoc(documented.__doc__ or "").partition("\nArgs:\n")[2].partition("\n\n")[0]
    entries = re.findall(r"(?m)^    (\w+): (.+(?:\n {5,}.+)*)", section)
    texts = {name: " ".join(text.split()) for name, text in entries}
    return {name: text.replace("``", "").replace("None: ", "If not given, ") for name, text in texts.items()}


def _members(target: Callable[..., Any], docs: dict[str, str] | None = None) -> Iterator[Member]:
    hints = get_type_hints(target, include_extras=True)
    for name, parameter in inspect.signature(target).parameters.items():
        annotated = get_origin(hints[name]) is Annotated
        kind, *marks = get_args(hints[name]) if annotated else (hints[name],)
        yield Member(name, kind, tuple(marks), parameter.default, docs.get(name, "") if docs is not None else None)


def _flat_members(target: Callable[..., Any], docs: dict[str, str] | None = None) -> Iterator[Member]:
    """All parameters, with the fields of a dataclass in place of the dataclass."""
    for member in _members(target, docs):
        if member.is_group:
            documented = member.mark(HelpFromDocstring) is not None
            yield from _flat_members(member.kind, argument_docs(member.kind) if documented else None)
        else:
            yield member


def _construct(target: Callable[..., Any], values: dict[str, Any]) -> Any:
    """Call a function, or make a dataclass, with the values of its parameters."""
    arguments = {
        member.name: _construct(member.kind, values) if member.is_group else values[member.name]
        for member in _members(target)
    }
    return target(**arguments)


def _parameter(member: Member) -> inspect.Parameter:
    # Choices are checked by the values that are made of them, whose errors name all of them.
    kind = str if get_origin(member.kind) is Literal else member.kind
    if (setting := member.setting) and setting.kind == "truth":
        kind = str | None
    if setting:
        info, default = _setting_info(member, setting), _setting_default(setting, kind)
    else:
        info = member.mark(OptionInfo) or member.mark(ArgumentInfo) or typer.Option(member.flag, help=member.help)
        default = member.default
    return inspect.Parameter(
        member.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, info]
    )


def _check_paths(member: Member, value: Any) -> None:
    """Refuse an address where a path is taken; as a path it would name a folder ``s3:`` of this machine."""
    name = member.name.upper() if member.mark(ArgumentInfo) else member.flag
    for path in value if isinstance(value, list) else [value]:
        if isinstance(path, Path):
            require(name, path, on_this_machine)


def _truth(flag: str, word: str) -> bool:
    try:
        return to_truth(word)
    except ValueError:
        raise SpecError(f"{flag} must be yes or no; found {word!r}.") from None


def _setting_info(member: Member, setting: Option) -> Any:
    if member.is_positional:
        return typer.Argument(help=setting.help)
    variable = setting.variable if setting.key in READ_FROM_ENVIRONMENT else None
    return typer.Option(member.flag, help=setting.help, envvar=variable)


def _setting_default(setting: Option, kind: Any) -> Any:
    """The default of a setting; none if it has none and the command needs a value.

    Where a command takes None as well, that is what it gets if the setting is not given.
    """
    if setting.kind == "flag":
        return False
    if type(None) in get_args(kind):
        return None
    return setting.default if setting.default is not None else inspect.Parameter.empty
