"""The HTML report: one valid file that loads nothing, and in which no name does more than be shown."""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given

from pytest_kdmem.audit.report import Report, read_report
from pytest_kdmem.audit.result import AuditResult
from pytest_kdmem.audit.schema import (
    DistributionsEntry,
    ExamplesEntry,
    ModelColumns,
    ModelDistributions,
    RepetitionBin,
)
from pytest_kdmem.report.html import MOST_ROWS, render
from tests.report.any_report import BROKEN, HOSTILE, PASSING, of_reports, rendered, reports, saved, whole

VOID = {"meta", "input", "br", "path", "use", "link"}
# What the template and matplotlib write; anything else came out of a name.
KNOWN = {
    *("html head meta title style body a main header p h1 h2 h3 nav ul li ol section bdi strong span pre code div table"
      " thead tbody tr th td dl dt dd figure figcaption details summary label input select option output script"
      " svg desc defs g path use text clippath rect tspan").split(),
}  # fmt: skip


class Page(HTMLParser):
    """Elements, ids, addresses and text of a page; fails where a tag is not closed in its turn."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.ids: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.rows = 0
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.rows += any(name == "data-kinds" for name, _ in attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def columns(n: int, recited: set[int]) -> ModelColumns:
    memorized = tuple(int(at in recited) for at in range(n))
    return ModelColumns(memorized, (0,) * n, (1.25,) * n, (8.5,) * n, (-3.0,) * n)


def with_examples(n: int = 3, **changed: object) -> AuditResult:
    """An audit with n examples; the student recites every other one, the teacher all."""
    entry = ExamplesEntry(
        example_id=tuple(range(100, 100 + n)),
        digest=tuple(f"{at:032x}" for at in range(n)),
        copies=(2,) * n,
        zlib_bytes=(None, *(270,) * (n - 1)),
        risk=(None, *(0.5,) * (n - 1)),
        models={"teacher": columns(n, set(range(n))), "student": columns(n, set(range(0, n, 2)))},
    )
    spread = ModelDistributions(
        (3, 2), 7, (RepetitionBin(1, 1, 0, 9), RepetitionBin(3, 4, 2, 3)), (200, 300), (5.0, 9.0)
    )
    distributions = DistributionsEntry((-1.0, 0.0, 1.0), {"teacher": spread, "student": spread})
    return whole(examples=replace(entry, **changed), distributions=distributions)  # type: ignore[arg-type]


def test_the_verdict_comes_first_and_every_gate_says_why() -> None:
    text = Page(rendered(render, with_examples())).text
    assert text.index("Do not ship: 3 of 4 gates did not pass") < text.index("Student recites little")
    for told in (
        "memorization rate of student 1.90% [≤ 2.78%] (19 of 1 000) > 1.00%",
        "pytest 'a.py::test_x' --kdmem-show",
        "audits/test_a.py:12",
        "A model was expected at runs/x.",
        "Not run: audits/test_a.py::test_left",
        "run card of student is of other weights",
        "worse: memorization rate of student",
    ):
        assert told in re.sub(r"\s+", " ", text), told


def test_a_release_ships_only_if_gates_were_held_and_all_pass() -> None:
    assert "May ship: its one gate passes" in rendered(render, whole(gates=(PASSING,), not_run=()))
    assert "Not decided" in rendered(render, whole(gates=(PASSING,)))
    assert "Not decided" in rendered(render, whole(gates=(), not_run=()))
    assert "Do not ship" in rendered(render, whole(gates=(PASSING, BROKEN)))


def test_figures_stand_as_the_record_has_them() -> None:
    text = re.sub(r"\s+", " ", Page(rendered(render, with_examples())).text)
    for told in ("1.90%", "≤ 2.78%", "6.70%", "44.64%", "2.43 × [≥ 2.31 ×]", "p = 0.03", "8.37", "0.045 or more", "d1"):
        assert told in text, told


def test_every_picture_is_told_in_words_and_no_id_occurs_twice() -> None:
    page = Page(rendered(render, with_examples(), replace(with_examples(), name="b")))
    assert len(set(page.ids)) == len(page.ids)
    for told in ("inherited from the teacher: 25", "teacher: 2 at 0 or above, 7 without a margin",
                 "66.67% of 3 at 4", "2 examples that the teacher recites over 2 that it does not"):  # fmt: skip
        assert told in page.text, told
    labels = [value for name, value in page.attributes if name in ("aria-labelledby", "headers")]
    assert all(one in page.ids for value in labels for one in value.split())


def test_a_picture_is_the_same_each_time() -> None:
    assert rendered(render, with_examples()) == rendered(render, with_examples())


def test_it_loads_nothing() -> None:
    page = Page(rendered(render, with_examples()))
    addresses = [value for name, value in page.attributes if name in ("href", "src", "xlink:href", "action", "data")]
    assert addresses
    assert all(address.startswith("#") for address in addresses)
    assert all(address.removeprefix("#") in page.ids for address in addresses)
    assert not page.tags & {"img", "iframe", "object", "embed", "link", "base", "form"}
    assert "@import" not in rendered(render, with_examples())


def test_its_policy_lets_only_its_own_script_run() -> None:
    text = rendered(render, with_examples())
    (script,) = re.findall(r"(?s)<script>(.*?)</script>", text)
    digest = b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'" in text
    assert not [name for name, _ in Page(text).attributes if name.startswith("on")]


@given(reports())
@of_reports
def test_no_name_becomes_an_element_or_steers_the_page(report: Report) -> None:
    text = render(report)
    text.encode("utf-8", "strict")
    page = Page(text)
    assert page.tags <= KNOWN
    assert len(set(page.ids)) == len(page.ids)
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029\ufeff]", text)


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_a_hostile_name_of_a_model_or_text_of_an_example_is_shown_and_no_more(name: str) -> None:
    audit = with_examples(prefix=(name,) * 3, suffix=(name,) * 3, digest=(name,) * 3)
    assert audit.examples is not None
    assert audit.distributions is not None
    audit = replace(
        audit,
        models={**audit.models, name: audit.models["student"]},
        memorization={**audit.memorization, name: audit.memorization["student"]},
        examples=replace(audit.examples, models=audit.examples.models | {name: columns(3, {1})}),
        distributions=replace(
            audit.distributions, models=audit.distributions.models | {name: audit.distributions.models["student"]}
        ),
    )
    page = Page(rendered(render, audit))
    assert page.tags <= KNOWN
    assert len(set(page.ids)) == len(page.ids)


def test_without_text_there_is_no_column_of_it() -> None:
    assert "Prefix" not in Page(rendered(render, with_examples())).text
    shown = Page(rendered(render, with_examples(prefix=("my <b>", "x", "y"), suffix=("s1", "s2", "s3")))).text
    assert "my <b>" in shown
    assert "s3" in shown


def test_inherited_examples_come_first_and_no_more_than_so_many_in_all() -> None:
    text = rendered(render, with_examples(MOST_ROWS + 500))
    page = Page(text)
    assert page.rows == MOST_ROWS
    assert f"The first {MOST_ROWS // 1000} 000 stand here" in re.sub(r"\s+", " ", page.text)
    ids = [int(one) for one in re.findall(r'id="a0-example-(\d+)"', text)]
    assert set(ids[:25]) == set(range(100, 125))  # the inherited ones of `whole`
    assert all(one % 2 == 0 for one in ids[25:1000])  # then what the student recites


@saved
def test_a_real_report_is_a_page(path: Path) -> None:
    text = render(read_report(path))
    page = Page(text)
    assert page.tags <= KNOWN
    assert len(set(page.ids)) == len(page.ids)
    assert len(text.encode()) < 1_000_000


@pytest.mark.parametrize("name", [*(f"#0000{number:02d}" for number in range(20)), "fill: #000011;"])
def test_a_name_like_one_of_its_colours_is_a_name(name: str) -> None:
    audit = with_examples()
    audit = replace(
        audit,
        models=audit.models | {name: audit.models["student"]},
        memorization=audit.memorization | {name: audit.memorization["student"]},
    )
    page = rendered(render, audit)
    assert f">{name}<" in page or name in Page(page).text
    assert "#0000" not in re.sub(re.escape(name), "", page)


def test_an_audit_without_gates_is_not_said_to_pass() -> None:
    held, empty = whole(gates=(PASSING,), not_run=(), name="a"), whole(gates=(), not_run=(), name="b")
    text = re.sub(r"\s+", " ", Page(rendered(render, held, empty)).text)
    assert "Not decided: 1 of 1 gates held, all pass; no estimate was compared in 1 of 2 audits" in text
    assert "b no estimate compared" in text
    narrowed = replace(held, narrowed=True)
    assert "Not decided: 1 of 1 gates held, all pass; not all tests were asked for" in rendered(render, narrowed)
