"""The documentation builds without broken links and pictures, and names only options and commands that exist."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import typer.main

import pytest_kdmem
from pytest_kdmem.cli import app
from pytest_kdmem.plugin.collection import AUDIT_FIXTURES
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
                assert set(re.findall(r"(?<= )--[a-z][a-z-]*", rest)) <= {*options_of(name), "--help"}, line
            else:
                assert "`kdmem" not in line.split(f"kdmem {name}")[0][-1:], line


@pages
def test_every_action_is_a_published_one_or_a_path_in_the_users_repository(page: Path) -> None:
    for name in re.findall(r"(?m)^\s*(?:- )?uses: (\S+)$", page.read_text(encoding="utf-8")):
        assert name.startswith(("actions/", "./.github/actions/memorization-audit")), name


def test_the_glossary_says_each_word_in_one_sentence() -> None:
    text = (ROOT / "docs/glossary.md").read_text(encoding="utf-8")
    rows = [row for row in re.findall(r"(?m)^\| (.+?) \| (.+) \|$", text) if row != ("word", "meaning")]
    assert len(rows) > 40
    for word, meaning in rows:
        assert re.fullmatch(r"[A-Z][^.]*\.", meaning), word


def test_the_page_of_settings_lists_every_setting_once_with_its_default() -> None:
    text = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
    rows = re.findall(r"(?m)^\| `([a-z-]+)` \| (.*) \| (.*) \|$", text)
    defaults = {option.name: "" if option.default in (None, ()) else f"`{option.default}`" for option in OPTIONS}
    assert sorted(rows) == sorted((option.name, option.help, defaults[option.name]) for option in OPTIONS)


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


class Page(HTMLParser):
    """What a page of the built site refers to, and the anchors that it has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.targets: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id":
                self.anchors.add(value or "")
            elif name in ("href", "src"):
                self.targets.add(value or "")


def broken_references(site: Path) -> set[str]:
    """Links, pictures, scripts and anchors of a site that are not there, each with its page.

    What another host has is not looked at.
    """
    found = {path: Page(path.read_text(encoding="utf-8")) for path in site.rglob("*.html") if path.name != "404.html"}
    broken = set()
    for path, page in found.items():
        for target in page.targets:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            file = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            file = file / "index.html" if file.is_dir() else file
            anchors = found[file].anchors if file in found else {""}
            if not file.is_file() or (parts.fragment and unquote(parts.fragment) not in anchors):
                broken.add(f"{path.relative_to(site)}: {target}")
    return broken


def test_broken_references_are_found(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other/index.html").write_text('<h1 id="here">.</h1><a href="../#top">.</a><a href="https://x.org/y">')
    (tmp_path / "index.html").write_text(
        '<p id="top"><a href="other/#here">.</a><a href="other/#gone">.</a><a href="none/">.</a><img src="no.svg">'
        '<a href="#top">.</a><a href="#bottom">.</a>'
    )
    expected = {"other/#gone", "none/", "no.svg", "#bottom"}
    assert broken_references(tmp_path) == {f"index.html: {target}" for target in expected}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("mkdocs", reason="mkdocs-material builds the site")
    pytest.importorskip("mkdocstrings_handlers.python", reason="mkdocstrings makes the reference of Python names")
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    folder = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_MKDOCS_2_WARNING", "1")
        build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(folder)))  # strict: a warning is an error
    return folder


def test_every_link_picture_and_anchor_of_the_built_site_is_there(site: Path) -> None:
    assert (site / "how-to/gate-a-release/index.html").exists()
    assert not broken_references(site)


def test_the_references_have_every_command_fixture_and_public_name(site: Path) -> None:
    headings = {
        name: Page((site / "reference" / name / "index.html").read_text(encoding="utf-8")).anchors
        for name in ("commands", "fixtures", "python")
    }
    nested = {name: getattr(command, "commands", None) for name, command in COMMANDS.items()}
    calls = {f"kdmem {name} {part}" for name, parts in nested.items() for part in parts or ()}
    calls |= {f"kdmem {name}" for name, parts in nested.items() if parts is None}
    assert {call.replace(" ", "-") for call in calls} <= headings["commands"]
    assert {*AUDIT_FIXTURES, "teacher", "thresholds", "distiller"} - {"_kdmem_audit"} <= headings["fixtures"]
    assert {f"pytest_kdmem.{name}" for name in pytest_kdmem.__all__} <= headings["python"]
    assert {"pytest_kdmem.Memorization.rate", "pytest_kdmem.Memorization.by_group"} <= headings["python"]


def test_the_reference_of_commands_has_each_option_with_its_help(site: Path) -> None:
    words = re.sub(r"<[^>]+>", "", (site / "reference/commands/index.html").read_text(encoding="utf-8"))
    for name in ("distill", "score"):
        assert options_of(name) - {"model", "training_set"} <= set(re.findall(r"--[a-z-]*[a-z]", words))
    assert "Peak learning rate, followed by cosine decay. [default: 5e-05]" in words


def test_what_the_site_lets_one_copy_can_be_run_as_it_is(site: Path) -> None:
    """A block of a console is one of commands, without prompts, and one of what they print, which has no button."""
    pages = {path: path.read_text(encoding="utf-8") for path in site.rglob("index.html")}
    assert not [path for path, html in pages.items() if re.search(r"<code[^>]*>(<[^>]+>)*\$ ", html)]
    tutorial = pages[site / "tutorial/index.html"]
    blocks = re.findall(r'(?s)<div class="([^"]*)highlight"><pre>(.*?)</pre>', tutorial)
    texts = [(classes, re.sub(r"<[^>]+>", "", content)) for classes, content in blocks]
    commands = [text for classes, text in texts if "no-copy" not in classes]
    assert "python data.py\nwc -l data.jsonl control.jsonl\n" in commands
    assert any(text.startswith("kdmem distill") and "\\\n    --init" in text for text in commands)
    (printed,) = [classes for classes, text in texts if "  796 data.jsonl" in text]
    assert {"no-copy", "output"} <= set(printed.split())


def test_no_name_of_an_option_is_divided_on_a_narrow_screen(site: Path) -> None:
    commands = (site / "reference/commands/index.html").read_text(encoding="utf-8")
    option = '<code><span class="option">%s</span></code>'
    assert f"<td>{option % '--window-tokens'} <code>&lt;int range&gt;</code></td>" in commands
    assert f"<td>{option % '--dry-run'}</td>" in commands
    settings = (site / "settings/index.html").read_text(encoding="utf-8")
    for page in (commands, settings):
        assert page.count("<table>") == len(re.findall('<div class="options( defaults)?"><table>', page)) > 1
        assert "site.css" in page
    text = (ROOT / "docs/settings.md").read_text(encoding="utf-8")
    assert settings.count('<div class="options defaults">') == text.count("| name | what it sets | default |") > 1


def anchors_of(page: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    text = re.sub(r"(?ms)^```.*?^```", "", page.read_text(encoding="utf-8"))
    headings = re.findall(r"(?m)^#+ (.+)$", text)
    return {re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def broken_links(page: Path) -> set[str]:
    """Links of a page that lead nowhere in a clone: no such file, or no such heading in it."""
    text = re.sub(r"(?ms)^```.*?^```", "", page.read_text(encoding="utf-8"))
    broken = set()
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        parts = urlsplit(target)
        file = (page.parent / unquote(parts.path)).resolve() if parts.path else page
        if not parts.scheme and (not file.exists() or (parts.fragment and parts.fragment not in anchors_of(file))):
            broken.add(target)
    return broken


@pages
def test_every_link_of_a_page_leads_somewhere_in_a_clone(page: Path) -> None:
    assert not broken_links(page)


def test_broken_links_of_a_page_are_found(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# What `it` does, and how\n")
    (tmp_path / "page.md").write_text(
        "[.](other.md#what-it-does-and-how) [.](other.md#gone) [.](none.md) [.](https://x.org/#y) [.](#top)\n"
    )
    assert broken_links(tmp_path / "page.md") == {"other.md#gone", "none.md", "#top"}
