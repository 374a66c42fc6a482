"""The documentation builds without broken links, and names only options and commands that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer.main

from pytest_kdmem.cli import app
from pytest_kdmem.specs.options import OPTIONS

ROOT = Path(__file__).parents[1]
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md"]
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
pages = pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])


def options_of(name: str) -> set[str]:
    command = COMMANDS[name]
    nested = getattr(command, "commands", {}).values()
    return {flag for part in (command, *nested) for parameter in part.params for flag in parameter.opts}


@pages
def test_every_option_named_exists(page: Path) -> None:
    named = set(re.findall(r"--kdmem-[a-z-]*[a-z]", page.read_text(encoding="utf-8")))
    assert named <= {option.flag for option in OPTIONS}


@pages
def test_every_key_named_exists(page: Path) -> None:
    text = re.sub(
        r"`kdmem_[a-z_]+`(?=,| \||:| are| is)", "", page.read_text(encoding="utf-8")
    )  # JUnit properties have such names, too
    named = set(re.findall(r"(?m)^\s*(kdmem_[a-z_]+) =", text))
    assert named <= {f"kdmem_{option.key}" for option in OPTIONS}


@pages
def test_every_command_named_exists_with_its_options(page: Path) -> None:
    for line in page.read_text(encoding="utf-8").splitlines():
        for name, rest in re.findall(r"\bkdmem ([a-z]+)((?: [^`;]*)?)", line):
            if name in COMMANDS:
                assert set(re.findall(r"(?<= )--[a-z][a-z-]*", rest)) <= options_of(name), line
            else:
                assert "`kdmem" not in line.split(f"kdmem {name}")[0][-1:], line


def test_the_page_of_settings_lists_every_setting() -> None:
    text = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"(?m)^\| `([a-z-]+)` \| (.*) \| ", text))
    assert rows == {option.name: option.help for option in OPTIONS}


def test_every_promise_of_the_threat_model_names_tests_that_exist() -> None:
    text = (ROOT / "docs/threat-model.md").read_text(encoding="utf-8")
    promises = re.findall(r"(?m)^\| (.+?) \| (.+) \|$", text.partition("## Promises")[2].partition("\n## ")[0])[1:]
    assert len(promises) > 10
    for promise, tests in promises:
        named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", tests)
        assert named or promise == "---", promise
        for path, function in named:
            source = (ROOT / path).read_text(encoding="utf-8")
            assert f"def {function or 'test_'}" in source, f"{path}::{function}"


def test_the_site_builds_without_broken_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mkdocs", reason="mkdocs-material builds the site")
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    monkeypatch.setenv("NO_MKDOCS_2_WARNING", "1")
    config = load_config(str(ROOT / "mkdocs.yml"), site_dir=str(tmp_path))
    build(config)  # strict: a warning is an error
    assert (tmp_path / "how-to/gate-a-release/index.html").exists()
