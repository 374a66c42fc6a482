"""Makes the site's references of commands, fixtures and Python names from the code; mkdocs calls it as a hook.

The pages are made while the site is built, so they are never older than the code. In their place the repository has
short pages that say what prints the same in a clone.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import typer.main
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

import pytest_kdmem
from pytest_kdmem.cli import app
from pytest_kdmem.plugin.collection import FIXTURES_MODULES

# Values that fixtures and answers return without being named in `pytest_kdmem` itself.
RETURNED = (
    "pytest_kdmem.metrics.near_verbatim.NearVerbatim",
    "pytest_kdmem.metrics.specific.Specific",
    "pytest_kdmem.metrics.membership.Membership",
    "pytest_kdmem.canaries.measured.MeasuredCanaries",
)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages to those of the folder, in place of the short ones for a clone."""
    for name, text in (("commands", commands()), ("fixtures", fixtures()), ("python", python_names())):
        page = File.generated(config, f"reference/{name}.md", content=text)
        if (in_clone := files.get_file_from_path(page.src_uri)) is not None:
            files.remove(in_clone)
        files.append(page)
    return files


def commands() -> str:
    """Return the page of every command with its arguments and options, as `--help` has them."""
    parts = [
        "# Commands",
        "Made from the commands themselves: `kdmem COMMAND --help` prints the same. Settings that several commands take"
        " are explained on the page of [settings](../settings.md), and exit codes on [theirs](../exit-codes.md).",
    ]
    for path, command in _commands("kdmem", typer.main.get_command(app)):
        context = command.context_class(command, info_name=path)
        parts += [
            f"## {path}",
            command.help or "",
            f"``` {{ .text .no-copy }}\n{command.get_usage(context).removeprefix('Usage: ')}\n```",
        ]
        records = [parameter.get_help_record(context) for parameter in command.params]
        rows = [f"| {_names(names)} | {_cell(text)} |" for names, text in filter(None, records)]
        if rows:
            parts.append("\n".join(["| argument or option | meaning |", "|---|---|", *rows]))
        if command.epilog:
            parts.append(f"Example: `{command.epilog.removeprefix('Example: ')}`")
    return _page(parts)


def _commands(path: str, command: Any) -> Iterator[tuple[str, Any]]:
    """Each command with the words that call it; a group stands for the commands in it."""
    nested = getattr(command, "commands", None)
    if nested is None:
        yield path, command
        return
    for name, inner in nested.items():
        yield from _commands(f"{path} {name}", inner)


def _names(names: str) -> str:
    """Return an option's names and what they take, each in quotes of its own."""
    name, _, metavar = names.partition(" <")
    return f"`{name}` `<{metavar}`" if metavar else f"`{name}`"


def _cell(text: str) -> str:
    return re.sub(r"([|*_<>])", r"\\\1", " ".join(text.split()))


def fixtures() -> str:
    """Return the page of every fixture that audits can ask for, with its call and docstring."""
    parts = [
        "# Fixtures",
        "Made from the fixtures' docstrings. All of them are created once per session. The roles are declared by an"
        " audit's `conftest.py` or by [settings](../settings.md); the others measure, and their answers are described"
        " among the [Python names](python.md). An audit can also call [`audit`](python.md#pytest_kdmem.audit) instead.",
    ]
    for module in FIXTURES_MODULES:
        for name, value in vars(import_module(module)).items():
            if type(value).__name__ == "FixtureFunctionDefinition" and not name.startswith("_"):
                call, text = _call_and_text(inspect.cleandoc(value.__doc__ or ""))
                parts += [f"## {name}", f"```python\n{call}\n```" if call else "", text, _answer(call)]
    return _page(parts)


def _call_and_text(docstring: str) -> tuple[str, str]:
    """Split a docstring that begins with a call in double backquotes from what follows."""
    found = re.match(r"(?s)``(.+?)``\.\s*", docstring)
    call = " ".join(found[1].split()).replace(" → ", " -> ") if found else ""
    return call, docstring[found.end() if found else 0 :].replace("``", "`")


def _answer(call: str) -> str:
    """Return a sentence that links to the reference of what a call returns; empty if it has none."""
    answer = call.rpartition(" -> ")[2]
    public = f"pytest_kdmem.{answer}" if answer in pytest_kdmem.__all__ else None
    anchor = public or next((path for path in RETURNED if path.endswith(f".{answer}")), None)
    return f"It returns [`{answer}`](python.md#{anchor})." if call and anchor else ""


def python_names() -> str:
    """Return the page of all public Python names; mkdocstrings fills in signatures and docstrings."""
    names = [f"pytest_kdmem.{name}" for name in sorted(pytest_kdmem.__all__, key=str.lower)]
    parts = [
        "# Python names",
        "Made from the docstrings. The first part is what `from pytest_kdmem import …` can name; the second is what"
        " fixtures return beside these.",
        "## Names to import",
        *(f"::: {name}" for name in names),
        "## Further answers",
        *(f"::: {name}" for name in RETURNED),
    ]
    return _page(parts)


def _page(parts: list[str]) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"
