"""The HTML report in a real browser: it is quiet, self-contained, accessible, and works without its script."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_kdmem.auditing.report import Report
from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.auditing.schema_examples import ExamplesEntry
from pytest_kdmem.auditing.schema_figures import FigureEntry
from pytest_kdmem.report.html import render
from tests.report.any_report import HOSTILE
from tests.report.audits import audit_with_examples, full_audit, rate, render_saved, saved_report

playwright = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.browser
CHROMIUM = os.environ.get("KDMEM_CHROMIUM") or shutil.which("chromium") or ""
# Chromium itself asks for updates and the like, which would look like requests of the report.
QUIET = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
each_recent_report = pytest.mark.parametrize("saved", ["green.json", "red.json", "inconclusive.json"])


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    if not CHROMIUM:
        pytest.skip("no Chromium is installed: name one by KDMEM_CHROMIUM")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser: Any, tmp_path: Path) -> Iterator[Any]:
    """Opens the HTML of a report. The test fails if the page logs, asks for, or requests anything."""
    contexts, events = [], []

    def open_html(html: str, **options: Any) -> Any:
        path = tmp_path / "audit.html"
        path.write_text(html, encoding="utf-8")
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        page.on("console", lambda message: events.append(message.text))
        page.on("pageerror", lambda error: events.append(str(error)))
        page.on("dialog", lambda dialog: events.append(dialog.message))
        page.on("request", lambda request: request.url == path.as_uri() or events.append(request.url))
        page.goto(path.as_uri())
        return page

    yield open_html
    for context in contexts:
        context.close()
    assert events == []


@pytest.fixture
def green_page(open_page: Any) -> Any:
    return open_page(render_saved("green.json", ".html"))


def green_audit() -> tuple[AuditResult, ExamplesEntry]:
    (audit,) = saved_report("green.json").audits
    assert audit.examples is not None
    return audit, audit.examples


@pytest.mark.parametrize("scheme", ["light", "dark"])
@each_recent_report
def test_it_violates_no_rule_of_accessibility(open_page: Any, saved: str, scheme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    viewport = {"width": 1400, "height": 900}
    page = open_page(render_saved(saved, ".html"), color_scheme=scheme, bypass_csp=True, viewport=viewport)
    # The rows of examples are all alike, and the check takes its time for each.
    page.evaluate("document.querySelectorAll('table.examples tbody tr:nth-child(n+40)').forEach(row => row.remove())")
    violations = Axe().run(page).response["violations"]
    assert [(rule["id"], rule["impact"], rule["nodes"][0]["html"]) for rule in violations] == []


@pytest.mark.parametrize("width", [400, 1400])
@each_recent_report
def test_it_fits_the_window(open_page: Any, saved: str, width: int) -> None:
    page = open_page(render_saved(saved, ".html"), viewport={"width": width, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("h1").bounding_box()["y"] < 200


def visible_ids(page: Any) -> list[int]:
    """Ids of the examples that the table shows, in its order."""
    texts = page.locator("table.examples tbody tr:visible th").all_inner_texts()
    return [int(text) for text in texts]


@pytest.mark.parametrize("device", ["mouse", "keyboard"])
def test_rows_are_sorted_by_a_column(green_page: Any, device: str) -> None:
    _, entry = green_audit()
    header = green_page.locator("table.examples thead th").nth(2)
    copies_by_id = dict(zip(entry.example_id, entry.copies, strict=True))
    for expected, is_reversed in (("descending", True), ("ascending", False)):
        if device == "mouse":
            header.locator("button").click()
        else:
            header.locator("button").focus()
            green_page.keyboard.press("Enter")
        assert header.get_attribute("aria-sort") == expected
        copies = [copies_by_id[example_id] for example_id in visible_ids(green_page)]
        assert copies == sorted(copies, reverse=is_reversed)
    assert green_page.locator("th[aria-sort]").count() == 1


def test_rows_are_filtered_by_who_recites_them_and_by_number(green_page: Any) -> None:
    page, (audit, entry) = green_page, green_audit()
    all_ids = visible_ids(page)
    page.get_by_label("Show").select_option("student")
    assert set(visible_ids(page)) == set(audit.memorized_examples["student"])
    assert page.locator("output").inner_text() == f"47 of {len(all_ids)} shown"
    page.get_by_label("Show").select_option("easy")
    assert len(visible_ids(page)) == audit.inheritance.easy  # type: ignore[union-attr]
    page.get_by_label("Show").select_option("")
    wanted = str(all_ids[5])
    page.get_by_label("Find number or digest").fill(wanted)
    assert set(visible_ids(page)) == {
        example_id
        for example_id, digest in zip(entry.example_id, entry.digest, strict=True)
        if str(example_id).startswith(wanted) or digest.startswith(wanted)
    }
    page.get_by_label("Find number or digest").fill("")
    assert visible_ids(page) == all_ids


def test_an_example_is_linked_to_by_its_number(green_page: Any) -> None:
    green_page.locator("table.examples tbody a").nth(40).click()
    assert "#a0-example-" in green_page.url
    assert green_page.locator("tr:target").count() == 1


def test_it_reads_with_scripts_off(open_page: Any) -> None:
    page = open_page(render_saved("green.json", ".html"), java_script_enabled=False)
    _, entry = green_audit()
    assert page.locator("h1").inner_text() == "May ship: all 6 gates pass"
    assert page.locator("table.examples tbody tr").count() == len(entry.example_id)
    assert not page.locator(".tools").is_visible()
    assert page.locator("thead button").count() == 0
    assert page.locator("figure svg").count() == 7


@each_recent_report
def test_it_prints_a_page_to_sign(open_page: Any, saved: str) -> None:
    page = open_page(render_saved(saved, ".html"))
    assert not page.get_by_text("Signature").is_visible()
    page.emulate_media(media="print")
    for shown in ("Looked at", "Not looked at", "Signature", "What each model recites"):
        assert page.get_by_text(shown, exact=True).is_visible()
    assert page.locator(".gate").last.is_visible()
    for hidden in (".tools", "table.examples", "figure"):
        assert page.locator(f"{hidden}:visible").count() == 0
    assert 1 <= len(re.findall(rb"/Type\s*/Page\b", page.pdf(format="A4"))) <= 2


def page_with_text(rows: int = 40) -> str:
    """The page of a real audit with made-up text, of which the first rows are continued otherwise by one model."""
    audit, entry = green_audit()
    ids = entry.example_id
    models = {
        role: replace(
            columns,
            generated=tuple(
                None if row >= rows else f"{'all say' if columns.memorized[row] else 'one says'} the same, number {id_}"
                for row, id_ in enumerate(ids)
            ),
        )
        for role, columns in entry.models.items()
    }
    prefixes = tuple(f"Once upon a time, for the {id_}th time, there was a sea that nobody had seen" for id_ in ids)
    suffixes = tuple(f"all say the same, number {id_}" for id_ in ids)
    examples = replace(entry, prefix=prefixes, suffix=suffixes, models=models)
    return render(Report((replace(audit, examples=examples),)))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_violates_no_rule_of_accessibility(open_page: Any, scheme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page = open_page(page_with_text(), color_scheme=scheme, bypass_csp=True)
    page.evaluate("document.querySelectorAll('table.examples tbody tr:nth-child(n+100)').forEach(row => row.remove())")
    violations = Axe().run(page, context=".which").response["violations"]
    assert [(rule["id"], rule["nodes"][0]["html"]) for rule in violations] == []


@pytest.mark.parametrize("width", [400, 1400])
def test_prefix_expected_and_generated_text_are_seen_without_scrolling_sideways(open_page: Any, width: int) -> None:
    page = open_page(page_with_text(), viewport={"width": width, "height": 900})
    boxes = [part.bounding_box() for part in page.locator("tr.texts:has(del)").first.locator("dl > div").all()]
    assert len(boxes) == 3
    for box in boxes:
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
    tops = {round(box["y"]) for box in boxes}
    assert len(tops) == (1 if width == 1400 else 3)  # beside each other, or below each other
    decorations = page.evaluate(
        "['ins', 'del'].map(tag => getComputedStyle(document.querySelector(`.texts ${tag}`)).textDecorationLine)"
    )
    assert decorations == ["underline", "line-through"]


def test_text_is_filtered_and_sorted_with_its_example(open_page: Any) -> None:
    page = open_page(page_with_text())
    page.locator("table.examples thead button").first.click()
    page.get_by_label("Show").select_option("generated")
    shown = page.locator("table.examples tbody tr:visible").all_inner_texts()
    assert len(shown) == 80
    for figures, text in zip(shown[::2], shown[1::2], strict=True):
        number = figures.split()[0]
        assert f"for the {number}th time" in text
    ids = visible_ids(page)
    assert ids == sorted(ids, reverse=True)


def test_printed_text_follows_the_page_to_sign_on_a_page_of_its_own(open_page: Any) -> None:
    page = open_page(page_with_text())
    page.emulate_media(media="print")
    assert page.locator("tr.texts:visible").count() == 6
    assert page.locator("tr.texts:visible del").count() >= 3
    assert page.locator("figure:visible").count() == 0
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", page.pdf(format="A4"))) <= 3


def test_the_heading_of_the_table_does_not_hide_the_example_that_is_linked_to(green_page: Any) -> None:
    green_page.locator("table.examples tbody a").nth(40).click()
    heading = green_page.locator("table.examples thead th").first.bounding_box()
    linked = green_page.locator("tr:target").bounding_box()
    assert linked["y"] >= heading["y"] + heading["height"] - 1


@pytest.mark.parametrize("width", [400, 1400])
def test_every_further_figure_is_on_the_screen(open_page: Any, width: int) -> None:
    names = ("teacher", "baseline", "student")
    figures = [
        FigureEntry("specific", name, "common (100, 0.5), of what is recited", rate(19, 1000, name)) for name in names
    ]
    page = open_page(render(Report((full_audit(figures=figures),))), viewport={"width": width, "height": 900})
    page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
    for cell in page.locator(".family td, .family th").all():
        box = cell.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width


def test_labels_of_pictures_are_legible_on_a_narrow_screen(open_page: Any) -> None:
    page = open_page(render_saved("green.json", ".html"), viewport={"width": 400, "height": 900})
    page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
    heights = page.evaluate(
        "[...document.querySelectorAll('figure svg')].map(svg => 9 * svg.getBoundingClientRect().width"
        " / svg.viewBox.baseVal.width)"
    )
    assert min(heights) >= 9  # pixels


def test_no_hostile_name_runs_as_a_script(open_page: Any) -> None:
    audits = []
    names = (*HOSTILE, "<img src=x onerror=alert(1)>", "javascript:alert(1)", "</script><script>alert(1)")
    for index, name in enumerate(names):
        audit = audit_with_examples(prefix=(name,) * 3, suffix=(name,) * 3, digest=(name,) * 3)
        gates = tuple(
            replace(gate, name=name, reason=name, next_step=name, command=name, path=name) for gate in audit.gates
        )
        models = {name: audit.models["student"], "student": replace(audit.models["student"], source=name)}
        changes = {"name": f"{index} {name}", "gates": gates, "models": models, "warnings": (name,)}
        # Pictures are drawn slowly, and test_html.py checks the names in them.
        audits.append(replace(audit, **changes, distributions=None, inheritance=None, memorization={}))
    page = open_page(render(Report(tuple(audits))))
    assert page.locator("section.audit").count() == len(audits)
    assert page.evaluate("document.scripts.length") == 1


def test_each_of_several_audits_has_its_own_tools(open_page: Any) -> None:
    audits = audit_with_examples(5), replace(audit_with_examples(7), name="audits/b"), full_audit(name="audits/c")
    page = open_page(render(Report(audits)))
    page.locator("#a1 select").select_option("student")
    assert page.locator("#a1 output").inner_text() == "4 of 7 shown"
    assert page.locator("#a0 output").inner_text() == "5 of 5 shown"
