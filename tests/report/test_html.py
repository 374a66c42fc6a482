"""The HTML report is one valid file that loads nothing, and no name in it does more than be shown."""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.auditing.schema_figures import FigureEntry
from pytest_kdmem.report.html import MAX_PRINTED_ROWS, MAX_ROWS, render
from tests.report.any_report import HOSTILE, random_reports
from tests.report.audits import (
    BROKEN,
    PASSING,
    audit_with_examples,
    each_saved_report,
    example_columns,
    full_audit,
    gate,
    rate,
    render_audits,
    render_saved,
)

VOID = {"meta", "input", "br", "path", "use", "link"}
# Elements that the template and matplotlib write. Any other element came out of a name.
TAGS = {
    *("html head meta title style body a main header p h1 h2 h3 nav ul li ol section bdi strong span pre code div table"
      " thead tbody tr th td dl dt dd figure figcaption details summary label input select option output script"
      " svg desc defs g path use text clippath rect tspan ins del em").split(),
}  # fmt: skip


class Page(HTMLParser):
    """Elements, ids, attributes and text of a page. An element that is not closed in its turn fails the test."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open_tags: list[str] = []
        self.tags: set[str] = set()
        self.ids: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.example_rows = 0
        self.feed(html)
        assert self.open_tags == []
        self.words = re.sub(r"\s+", " ", self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.example_rows += any(name == "data-kinds" for name, _ in attrs)
        if tag not in VOID:
            self.open_tags.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open_tags.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open_tags.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def assert_well_formed(page: Page) -> None:
    assert page.tags <= TAGS
    assert len(set(page.ids)) == len(page.ids)


@pytest.fixture(scope="session")
def html() -> str:
    """The page of an audit with every part."""
    return render_audits(render, audit_with_examples())


@pytest.fixture(scope="session")
def page(html: str) -> Page:
    return Page(html)


def by_part(gate_text: str, parts: int = 4) -> AuditResult:
    """An audit with one gate, over all groups, and 60 groups."""
    of_part = replace(rate(0, 66, "student on customer acme", exhaustive=True), part="group", parts=parts)
    figures = [FigureEntry("group", "student", f"group {index}", rate(0, 66, exhaustive=True)) for index in range(60)]
    return full_audit(gates=(gate(gate_text, of_part, "<=", 0.01),), figures=tuple(figures))


def test_a_gate_about_groups_puts_their_table_on_the_page_to_sign() -> None:
    text = render_audits(render, by_part("test_no_group_is_recited"))
    gated, signature = text.index('<div class="family gated">'), text.index('<dl class="signature"')
    assert gated < signature < text.index('<div class="evidence">')
    assert gated < text.index("group 59") < signature
    assert text.count("group 59") == 1  # and not in the evidence once more
    assert "The first 40 of 60 rows are printed" in text
    assert f"nth-child(n + {MAX_PRINTED_ROWS + 1})" in text
    page = Page(text)
    assert_well_formed(page)
    assert "worst of 4 groups, customer acme: 0.00% (0 of 66) ≤ 1.00%" in page.text.replace("\u00a0", " ")
    without_gate = render_audits(render, full_audit(gates=(PASSING,)))
    assert "family gated" not in without_gate


def test_each_example_names_its_groups() -> None:
    many = tuple(f"customer {index}" for index in range(7))
    page = Page(render_audits(render, audit_with_examples(groups=(("acme",), many, ("borealis", "acme")))))
    assert_well_formed(page)
    assert "borealis, acme" in page.text
    assert "customer 4 and 2 more" in page.text
    assert "Group" not in Page(render_audits(render, audit_with_examples())).text.partition("Which examples")[2]


def test_one_example_is_not_several() -> None:
    assert "1 example is recited by a model, may be, is recited nearly, or is at high risk." in render_audits(
        render, audit_with_examples(1)
    )
    assert "3 examples are recited by a model, may be, are recited nearly, or are" in render_audits(
        render, audit_with_examples(3)
    )


def test_the_verdict_comes_first_and_each_failed_gate_gives_its_reason(page: Page) -> None:
    assert page.text.index("Do not ship: 3 of 4 gates did not pass") < page.text.index("Student recites little")
    for text in (
        "memorization rate of student 1.90% [≤ 2.78%] (19 of 1 000) > 1.00%",
        "pytest 'a.py::test_x' --kdmem-show",
        "audits/test_a.py:12",
        "A model was expected at runs/x.",
        "Not run: audits/test_a.py::test_left",
        "run card of student belongs to other weights",
        "worse: memorization rate of student",
    ):
        assert text in page.words, text


def test_estimates_are_those_of_the_audit(page: Page) -> None:
    for text in ("1.90%", "≤ 2.78%", "6.70%", "44.64%", "2.43 × [≥ 2.31 ×]", "p = 0.03", "8.37", "0.045 or more", "d1"):
        assert text in page.words, text


def test_a_page_of_several_audits_repeats_no_id_and_describes_every_picture() -> None:
    page = Page(render_audits(render, audit_with_examples(), replace(audit_with_examples(), name="b")))
    assert_well_formed(page)
    for text in ("inherited from the teacher: 25", "teacher: 2 at 0 or above, 7 without a margin",
                 "66.67% of 3 at 4", "2 examples that the teacher recites over 2 that it does not"):  # fmt: skip
        assert text in page.text, text
    labels = [value for name, value in page.attributes if name in ("aria-labelledby", "headers")]
    assert all(label in page.ids for value in labels for label in value.split())


def test_a_page_is_the_same_each_time(html: str) -> None:
    assert render_audits(render, audit_with_examples()) == html


def test_a_page_loads_nothing(page: Page, html: str) -> None:
    addresses = [value for name, value in page.attributes if name in ("href", "src", "xlink:href", "action", "data")]
    assert addresses
    assert all(address.startswith("#") for address in addresses)
    assert all(address.removeprefix("#") in page.ids for address in addresses)
    assert not page.tags & {"img", "iframe", "object", "embed", "link", "base", "form"}
    assert "@import" not in html


def test_its_policy_allows_only_its_own_script(page: Page, html: str) -> None:
    (script,) = re.findall(r"(?s)<script>(.*?)</script>", html)
    digest = b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'" in html
    assert not [name for name, _ in page.attributes if name.startswith("on")]


def test_no_name_becomes_an_element_or_controls_the_page() -> None:
    controls = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029\ufeff]")
    for report in random_reports():
        html = render(report)
        html.encode("utf-8", "strict")
        assert_well_formed(Page(html))
        assert not controls.search(html)


def with_models(audit: AuditResult, names: tuple[str, ...]) -> AuditResult:
    """The audit with further models of these names in its tables and pictures, all equal to the student."""
    assert audit.examples is not None
    assert audit.distributions is not None
    distributions, examples = audit.distributions, audit.examples
    columns = example_columns(len(examples.example_id), {1})

    def with_names(models: dict[str, Any], value: Any) -> dict[str, Any]:
        return models | dict.fromkeys(names, value)

    return replace(
        audit,
        models=with_names(audit.models, audit.models["student"]),
        memorization=with_names(audit.memorization, audit.memorization["student"]),
        examples=replace(examples, models=with_names(examples.models, columns)),
        distributions=replace(distributions, models=with_names(distributions.models, distributions.models["student"])),
    )


def test_hostile_names_of_models_and_texts_of_examples_are_only_shown() -> None:
    """All names stand in one page, because drawing its pictures is what takes time."""
    audit = with_models(audit_with_examples(len(HOSTILE), prefix=HOSTILE, suffix=HOSTILE, digest=HOSTILE), HOSTILE)
    assert audit.examples is not None
    generated = {model: replace(columns, generated=HOSTILE[::-1]) for model, columns in audit.examples.models.items()}
    page = Page(render_audits(render, replace(audit, examples=replace(audit.examples, models=generated))))
    assert_well_formed(page)
    assert page.example_rows == len(HOSTILE)
    assert "<script>alert(1)</script>" in page.text


def test_a_page_shows_training_text_and_what_models_generate_only_if_the_record_does(page: Page, html: str) -> None:
    assert not {"ins", "del"} & page.tags
    assert not re.search("Prefix|Expected|continued by the models|decoded greedily", page.text)
    assert 'class="texts"' not in html
    entry = audit_with_examples(prefix=("my <b>", "x", "y"), suffix=("said by all", "of the sea", "s3")).examples
    assert entry is not None
    columns = replace(entry.models["student"], generated=("said by all", "of the <i>land", None))
    shown = replace(entry, models={**entry.models, "student": columns})
    html = render_audits(render, replace(audit_with_examples(), examples=shown))
    page = Page(html)
    assert_well_formed(page)
    for text in ("my <b>", "s3", "Generated by studentidentical", "Expected; struck through where student differs"):
        assert text in page.words, text
    assert "of the <del>sea</del>" in html
    assert "of the <ins>&lt;i&gt;land</ins>" in html
    assert page.example_rows == html.count('<tr class="texts') == 3


def test_inherited_examples_come_first_and_the_number_of_rows_is_limited() -> None:
    html = render_audits(render, audit_with_examples(MAX_ROWS + 500))
    page = Page(html)
    assert page.example_rows == MAX_ROWS
    assert f"The first {MAX_ROWS // 1000} 000 stand here" in page.words
    ids = [int(example_id) for example_id in re.findall(r'id="a0-example-(\d+)"', html)]
    assert set(ids[:25]) == set(range(100, 125))  # the inherited examples of `full_audit`
    assert all(example_id % 2 == 0 for example_id in ids[25:1000])  # then what the student recites


@each_saved_report
def test_a_saved_report_is_a_page_below_a_megabyte(saved: str) -> None:
    html = render_saved(saved, ".html")
    assert_well_formed(Page(html))
    assert len(html.encode()) < 1_000_000


def test_a_name_that_looks_like_a_placeholder_colour_stays_a_name() -> None:
    names = (*(f"#0000{number:02d}" for number in range(20)), "fill: #000011;")
    html = render_audits(render, with_models(audit_with_examples(), names))
    text = Page(html).text
    for name in names:
        assert f">{name}<" in html or name in text
    assert "#0000" not in re.sub("|".join(map(re.escape, sorted(names, key=len, reverse=True))), "", html)


def test_a_model_ships_only_if_gates_were_held_and_all_pass() -> None:
    assert "May ship: its one gate passes" in render_audits(render, full_audit(gates=(PASSING,), not_run=()))
    assert "Not decided" in render_audits(render, full_audit(gates=(PASSING,)))
    assert "Do not ship" in render_audits(render, full_audit(gates=(PASSING, BROKEN)))


def test_an_audit_without_gates_is_not_called_passed() -> None:
    passed, empty = full_audit(gates=(PASSING,), not_run=(), name="a"), full_audit(gates=(), not_run=(), name="b")
    words = Page(render_audits(render, passed, empty)).words
    assert "Not decided: 1 of 1 gates run, all pass; no estimate was compared in 1 of 2 audits" in words
    assert "b no estimate compared" in words
