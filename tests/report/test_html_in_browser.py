"""The HTML report in a real browser: quiet, self-contained, accessible, and of use with and without its script."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_kdmem.audit.report import Report, read_report
from pytest_kdmem.report.html import render
from tests.report.any_report import DATA, HOSTILE, whole
from tests.report.test_html import with_examples

playwright = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.browser
CHROMIUM = os.environ.get("KDMEM_CHROMIUM") or shutil.which("chromium") or ""
# It would ask for updates and the like, which no report does.
QUIET = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
NAMES = ("green", "red", "inconclusive")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if not CHROMIUM:
        pytest.skip("no Chromium is installed: name one by KDMEM_CHROMIUM")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield chromium
        chromium.close()


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Iterator[Any]:
    """Opens a report, and fails where its page says, asks for, or logs anything."""
    contexts, said = [], []

    def open_(report: Report, **how: Any) -> Any:
        path = tmp_path / "audit.html"
        path.write_text(render(report), encoding="utf-8")
        contexts.append(browser.new_context(**how))
        page = contexts[-1].new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: said.append(dialog.message))
        page.on("request", lambda request: request.url == path.as_uri() or said.append(request.url))
        page.goto(path.as_uri())
        return page

    yield open_
    for context in contexts:
        context.close()
    assert said == []


def saved(name: str) -> Report:
    return read_report(DATA / f"{name}.json")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", NAMES)
def test_it_has_no_fault_of_accessibility(opened: Any, name: str, scheme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page = opened(saved(name), color_scheme=scheme, bypass_csp=True, viewport={"width": 1400, "height": 900})
    found = Axe().run(page).response["violations"]
    assert [(one["id"], one["impact"], one["nodes"][0]["html"]) for one in found] == []


@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("name", NAMES)
def test_it_fits_the_window(opened: Any, name: str, width: int) -> None:
    page = opened(saved(name), viewport={"width": width, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("h1").bounding_box()["y"] < 200


def ids(page: Any) -> list[int]:
    """Examples that are seen, in their order."""
    shown = page.locator("table.examples tbody tr:visible th").all_inner_texts()
    return [int(one) for one in shown]


@pytest.mark.parametrize("how", ["mouse", "keyboard"])
def test_rows_are_sorted_by_a_column(opened: Any, how: str) -> None:
    page = opened(saved("green"))
    entry = saved("green").audits[0].examples
    assert entry is not None
    header = page.locator("table.examples thead th").nth(2)
    copies = dict(zip(entry.example_id, entry.copies, strict=True))
    for expected, order in (("descending", True), ("ascending", False)):
        if how == "mouse":
            header.locator("button").click()
        else:
            header.locator("button").focus()
            page.keyboard.press("Enter")
        assert header.get_attribute("aria-sort") == expected
        found = [copies[one] for one in ids(page)]
        assert found == sorted(found, reverse=order)
    assert page.locator("th[aria-sort]").count() == 1


def test_rows_are_filtered_by_who_recites_them_and_by_number(opened: Any) -> None:
    page = opened(saved("green"))
    audit = saved("green").audits[0]
    everything = ids(page)
    page.get_by_label("Show").select_option("student")
    assert set(ids(page)) == set(audit.memorized_examples["student"])
    assert page.locator("output").inner_text() == f"47 of {len(everything)} shown"
    page.get_by_label("Show").select_option("easy")
    assert len(ids(page)) == audit.inheritance.easy  # type: ignore[union-attr]
    page.get_by_label("Show").select_option("")
    chosen = everything[5]
    page.get_by_label("Find number or digest").fill(str(chosen))
    entry = audit.examples
    assert entry is not None
    named = zip(entry.example_id, entry.digest, strict=True)
    assert set(ids(page)) == {
        one for one, digest in named if f"{one}".startswith(f"{chosen}") or digest.startswith(f"{chosen}")
    }
    page.get_by_label("Find number or digest").fill("")
    assert ids(page) == everything


def test_an_example_is_linked_to_by_its_number(opened: Any) -> None:
    page = opened(saved("green"))
    page.locator("table.examples tbody a").nth(40).click()
    assert "#a0-example-" in page.url
    assert page.locator("tr:target").count() == 1


def test_it_reads_with_scripts_off(opened: Any) -> None:
    page = opened(saved("green"), java_script_enabled=False)
    entry = saved("green").audits[0].examples
    assert entry is not None
    assert page.locator("h1").inner_text() == "May ship: all 6 gates pass"
    assert page.locator("table.examples tbody tr").count() == len(entry.example_id)
    assert not page.locator(".tools").is_visible()
    assert page.locator("thead button").count() == 0
    assert page.locator("figure svg").count() == 7


def test_it_prints_whole(opened: Any) -> None:
    page = opened(saved("red"))
    page.emulate_media(media="print")
    assert not page.locator(".tools").is_visible()
    assert page.locator("table.examples tbody tr").last.is_visible()
    assert len(page.pdf()) > 10_000


def test_nothing_hostile_runs(opened: Any) -> None:
    audits = []
    for at, name in enumerate(
        (*HOSTILE, "<img src=x onerror=alert(1)>", "javascript:alert(1)", "</script><script>alert(1)")
    ):
        made = with_examples(prefix=(name,) * 3, suffix=(name,) * 3, digest=(name,) * 3)
        gates = tuple(
            replace(gate, name=name, reason=name, next_step=name, command=name, path=name) for gate in made.gates
        )
        models = {name: made.models["student"], "student": replace(made.models["student"], source=name)}
        audits.append(
            replace(made, name=f"{at} {name}", gates=gates, models=models, warnings=(name,), distributions=None)
        )
    page = opened(Report(tuple(audits)))
    assert page.locator("section.audit").count() == len(audits)
    assert page.evaluate("document.scripts.length") == 1


def test_of_several_audits_each_has_tools_of_its_own(opened: Any) -> None:
    page = opened(Report((with_examples(5), replace(with_examples(7), name="audits/b"), whole(name="audits/c"))))
    page.locator("#a1 select").select_option("student")
    assert page.locator("#a1 output").inner_text() == "4 of 7 shown"
    assert page.locator("#a0 output").inner_text() == "5 of 5 shown"
