"""The Markdown report says all in order of weight, fits where it must, and no name in it is more than text."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from pytest_kdmem.audit.report import Report, read_report
from pytest_kdmem.audit.result import AuditResult
from pytest_kdmem.report.markdown import JOINER, code, escaped, render
from pytest_kdmem.report.sanitize import sanitize
from tests.report.any_report import (
    BROKEN,
    FAILING,
    HOSTILE,
    PASSING,
    TEXT,
    UNDECIDED,
    gate,
    of_reports,
    rate,
    rendered,
    reports,
    saved,
    whole,
)

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
OURS = ("<br>", "<details><summary>Settings, versions and digests</summary>\n", "</details>\n")
# What this report is made of; anything else came out of foreign text.
MADE_OF = {
    "heading_open", "paragraph_open", "inline", "text", "bullet_list_open", "list_item_open", "strong_open", "em_open",
    "html_block", "html_inline", "code_inline", "softbreak",
    *(f"{part}_open" for part in ("table", "thead", "tbody", "tr", "th", "td")),
}  # fmt: skip
# What GitHub looks for in the text of a page: mentions, issues, addresses, emoji, mathematics.
FOUND_IN_TEXT = re.compile(r"@\w|#\d|(?i:gh-\d)|://|(?i:www\.)|:[\w+-]+:|\$")


def show(*audits: AuditResult, limit_bytes: int | None = None) -> str:
    return rendered(render, *audits, limit_bytes=limit_bytes)


def tokens(text: str) -> list[Token]:
    return [inner for token in PARSER.parse(text) for inner in (token, *(token.children or ()))]


def rows(text: str) -> list[list[str]]:
    """Cells of every row of every table, as they are read."""
    found: list[list[str]] = []
    parsed = PARSER.parse(text)
    for at, token in enumerate(parsed):
        if token.type == "tr_open":
            found.append([])
        if token.type in ("td_open", "th_open"):
            found[-1].append("".join(child.content for child in parsed[at + 1].children or ()))
    return found


def assert_harmless(text: str) -> None:
    """It parses into what it is made of, with as many cells in a row as were written, and nothing that links."""
    text.encode()
    parsed = tokens(text)
    assert {token.type for token in parsed if not token.type.endswith("_close")} <= MADE_OF
    for token in parsed:
        if token.type.startswith("html_"):
            assert token.content in OURS
        if token.type == "text":
            assert not FOUND_IN_TEXT.search(token.content)
    written = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows(text)) == sum(not set(line) <= set("|- ") for line in written)
    assert {len(cells) for cells in rows(text)} <= {4, 5, 7}


def test_it_begins_with_the_verdict() -> None:
    assert show(whole()).splitlines()[0] == "## ❌ Do not ship: 3 of 4 gates did not pass; 1 not run"
    assert show(whole(gates=(PASSING,), not_run=())).startswith("## ✅ May ship")
    assert show(whole(gates=(PASSING,))).startswith("## ⚠️ Not decided")
    assert show(whole(gates=(), not_run=())).startswith("## ⚠️ Not decided")


def test_gates_that_failed_stand_first_with_why_and_what_next() -> None:
    table = [cells for cells in rows(show(whole())) if len(cells) == 4][1:]
    assert [cells[0] for cells in table] == ["❌", "⚠️", "❌", "✅"]
    assert table[0][1] == "student recites little"
    assert table[0][3] == f"{FAILING.reason}<br>{FAILING.next_step}<br>{FAILING.command}"
    assert table[1][3] == f"{UNDECIDED.reason}<br>{UNDECIDED.next_step}".replace("://", f":{JOINER}//")
    assert table[2][2:] == ["error", BROKEN.reason]
    assert table[3][3] == ""


def test_a_command_stands_as_code() -> None:
    assert next(token.content for token in tokens(show(whole())) if token.type == "code_inline") == FAILING.command


def test_models_and_sets_are_told_by_their_figures() -> None:
    table = rows(show(whole()))
    assert ["student", "19", "1 000", "1.90%", "≤ 2.78%", "0", "8.37"] in table
    assert ["teacher", "67", "1 000", "6.70%", "≤ 8.15%", "0", "–"] in table
    assert ["●", "·", "●", "inherited from the teacher", "25"] in table
    assert ["·", "●", "●", "baseline and student", "0"] in table  # a cell that is not told is empty


def test_the_first_twenty_inherited_examples_are_named() -> None:
    text = show(whole())
    assert ", ".join(map(str, range(100, 120))) + " and 5 more" in text
    assert "120" not in text.partition("inherited examples: ")[2].splitlines()[0]


def test_every_other_part_is_told() -> None:
    text = show(whole())
    for said in (
        "7.97%", "- worse: memorization rate of student 1.00% → 1.90%", "- student confirmed by 1 witnesses",
        "- run card of student is of other weights", "- `audits/test_a.py::test_left`", "digest `d3`", "`2.9`",
        "prefix_tokens: `50`", "`data/control.jsonl`",
    ):  # fmt: skip
        assert said in text, said


def test_several_audits_stand_under_their_names() -> None:
    text = show(whole(), whole(name="", gates=(PASSING,)))
    assert text.index("### audits/a\n") < text.index("### the root\n")
    assert "###" not in show(whole())


def test_an_audit_of_nothing_is_told() -> None:
    assert "No gate was held." in show(AuditResult("2026", {}, {}))


def test_undefined_figures_are_words() -> None:
    text = show(whole(memorization={"student": rate(0, 0), "teacher": replace(rate(1, 9), k=None)}))
    assert ["student", "0", "0", "undefined", "≤ 100.00%", "0", "8.37"] in rows(text)
    assert any(cells[:3] == ["teacher", "–", "9"] for cells in rows(text))
    assert "nan" not in text


@saved
def test_saved_reports_are_shown(path: Path) -> None:
    report = read_report(path)
    text = render(report)
    assert_harmless(text)
    for audit in report.audits:
        for one in audit.failed:
            assert escaped(one.reason) in text
        for model in audit.models.values():
            assert model.digest in text


@given(reports())
@of_reports
def test_no_report_breaks_the_page(report: Report) -> None:
    assert_harmless(render(report))


@given(TEXT | st.lists(st.sampled_from(HOSTILE), max_size=5).map("".join))
@settings(max_examples=1000)
def test_foreign_text_is_read_as_it_stands(text: str) -> None:
    shown = escaped(text)
    for page in (f"- {shown}\n", f"{shown}\n", f"| h | k |\n| --- | --- |\n| {shown} | z |\n"):
        cells = [token.children or () for token in PARSER.parse(page) if token.type == "inline"]
        told = () if not cells else cells[2] if page.startswith("| h") else cells[0]
        assert len(cells) in ((4,) if page.startswith("| h") else (0, 1))
        assert all(token.type == "text" for token in told)
        read = "".join(token.content for token in told)
        assert read.replace(JOINER, "") == sanitize(text).strip().replace("$", "＄")
        assert not FOUND_IN_TEXT.search(read)


@given(TEXT | st.lists(st.sampled_from(HOSTILE), max_size=5).map("".join))
@settings(max_examples=1000)
def test_no_text_breaks_out_of_code(text: str) -> None:
    shown = code(text)
    cells = [token.children for token in PARSER.parse(f"| h | k |\n| --- | --- |\n| {shown} | z |\n") if token.children]
    assert len(cells) == 4
    (span,) = cells[2] or ()
    if sanitize(text).strip():
        assert (span.type, span.content) == ("code_inline", sanitize(text))
    else:
        assert (span.type, span.content) == ("text", "–")


def test_what_is_left_out_goes_in_order_and_is_told() -> None:
    many = [gate(f"test_{at:03}", rate(19, 1000), "<=", 0.01) for at in range(300)]
    made = whole(gates=(PASSING, *many))
    text = show(made)
    size = len(text.encode())
    shorter = show(made, limit_bytes=size - 1)
    assert "<details>" not in shorter
    assert "inherited examples" in shorter
    assert shorter.splitlines()[-1] == ("_Left out here: settings, versions and digests. The JSON report has them._")
    without_ids = show(made, limit_bytes=len(shorter.encode()) - 1)
    assert "inherited examples" not in without_ids
    assert rows(without_ids)[1:302] == rows(text)[1:302]
    few = show(made, limit_bytes=size // 2)
    assert "inherited from the teacher" in few
    assert "… and 201 more" in few
    assert "rows beyond the first 100 of each list" in few.splitlines()[-1]
    assert "baseline recites little" not in few  # what failed goes last
    least = show(made, limit_bytes=200)
    assert least.startswith(text.splitlines()[0])
    assert "JSON report" in least
    assert show(made, limit_bytes=20) == show(made, limit_bytes=0) == ""


def test_of_several_audits_those_that_failed_are_kept() -> None:
    green = [whole(name=f"green{at}", gates=(PASSING,)) for at in range(30)]
    text = show(*green, whole(name="red"), limit_bytes=6000)
    assert "### red" in text
    assert "audits\n" in text


@given(reports(), st.integers(0, 12_000))
@of_reports
def test_no_limit_is_exceeded_and_every_page_is_whole(report: Report, limit_bytes: int) -> None:
    text = render(report, limit_bytes=limit_bytes)
    assert len(text.encode()) <= limit_bytes
    assert_harmless(text)
    if text != render(report):
        assert not text or "Left out here" in text


@pytest.mark.parametrize("sign", ["x", "|", "\\", "@", "`", "\n"])
def test_a_text_of_ten_megabytes_is_cut(sign: str) -> None:
    long = sign * 10_000_000
    text = show(whole(gates=(replace(FAILING, reason=long, command=long),), warnings=(long,)))
    assert len(text) < 30_000
    assert "10 000 000 characters" in text
