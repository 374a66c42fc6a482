"""The Markdown report shows the most important parts first, obeys its limit, and every name in it is only text."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.report.families import WORDS
from pytest_kdmem.report.markdown import DETAILS, render
from pytest_kdmem.report.markdown_text import WORD_JOINER, escape_markdown
from tests.report.any_report import random_reports
from tests.report.audits import (
    BROKEN,
    FAILING,
    PASSING,
    UNDECIDED,
    each_saved_report,
    full_audit,
    gate,
    rate,
    render_audits,
    render_saved,
    saved_report,
)

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
SETTINGS = "<details><summary>Settings, versions and digests</summary>\n"
OUR_HTML = (
    *("<br>", "<sub>", "</sub>", SETTINGS, "</details>\n"),
    *(f"<details><summary>{title}</summary>\n" for title, _ in WORDS.values()),
)
# Tokens that this report consists of. Any other token came out of foreign text.
TOKEN_TYPES = {
    "heading_open", "paragraph_open", "inline", "text", "bullet_list_open", "list_item_open", "strong_open", "em_open",
    "html_block", "html_inline", "code_inline", "softbreak",
    *(f"{part}_open" for part in ("table", "thead", "tbody", "tr", "th", "td")),
}  # fmt: skip
# What GitHub links or draws in rendered text: mentions, issues, addresses, emoji, mathematics.
LINKED_BY_GITHUB = re.compile(r"@\w|#\d|(?i:gh-\d)|://|(?i:www\.)|:[\w+-]+:|\$")


def show(*audits: AuditResult, limit_bytes: int | None = None) -> str:
    return render_audits(render, *audits, limit_bytes=limit_bytes)


def tokens(text: str) -> list[Token]:
    return [inner for token in PARSER.parse(text) for inner in (token, *(token.children or ()))]


def rows(text: str) -> list[list[str]]:
    """Text of the cells of every row of every table."""
    table_rows: list[list[str]] = []
    parsed = PARSER.parse(text)
    for index, token in enumerate(parsed):
        if token.type == "tr_open":
            table_rows.append([])
        if token.type in ("td_open", "th_open"):
            table_rows[-1].append("".join(child.content for child in parsed[index + 1].children or ()))
    return table_rows


def assert_harmless(text: str) -> None:
    """The text parses into the expected tokens, its tables keep their rows and columns, and GitHub links nothing."""
    text.encode()
    parsed = tokens(text)
    assert {token.type for token in parsed if not token.type.endswith("_close")} <= TOKEN_TYPES
    for token in parsed:
        if token.type.startswith("html_"):
            assert token.content in OUR_HTML
        if token.type == "text":
            assert not LINKED_BY_GITHUB.search(token.content)
    written = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows(text)) == sum(not set(line) <= set("|- ") for line in written)
    # Of who recites the same examples there are five columns, and one more for each further comparison.
    assert {len(cells) for cells in rows(text)} <= {3, 4, 5, 6, 7, 8, 10}


def test_the_verdict_comes_first() -> None:
    assert show(full_audit()).splitlines()[0] == "## ❌ Do not ship: 3 of 4 gates did not pass; 1 not run"
    assert show(full_audit(gates=(PASSING,), not_run=())).startswith("## ✅ May ship")
    assert show(full_audit(gates=(PASSING,))).startswith("## ⚠️ Not decided")
    assert show(full_audit(gates=(), not_run=())).startswith("## ⚠️ Not decided")


def test_failed_gates_come_first_with_reason_and_next_step() -> None:
    table = [cells for cells in rows(show(full_audit(figures=()))) if len(cells) == 4][1:]
    assert [cells[0] for cells in table] == ["❌", "⚠️", "❌", "✅"]
    assert table[0][1] == "student recites little"  # whose reason says what was measured
    assert table[-1][1] == "baseline recites little<br><sub>memorization rate of baseline</sub>"
    assert table[2][1] == "broken"
    assert table[0][3] == f"{FAILING.reason}<br>{FAILING.next_step}<br>{FAILING.command}"
    assert table[1][3] == f"{UNDECIDED.reason}<br>{UNDECIDED.next_step}".replace("://", f":{WORD_JOINER}//")
    assert table[2][2:] == ["error", BROKEN.reason]
    assert table[3][3] == ""


def test_a_command_is_code() -> None:
    assert next(token.content for token in tokens(show(full_audit())) if token.type == "code_inline") == FAILING.command


def test_tables_show_models_and_inheritance() -> None:
    table = rows(show(full_audit()))
    assert ["student", "19", "1 000", "1.90%", "≤ 2.78%", "0", "2.1250 [≤ 2.2500]"] in table
    assert ["teacher", "67", "1 000", "6.70%", "≤ 8.15%", "0", "–"] in table
    assert ["●", "·", "●", "inherited from the teacher", "25"] in table
    assert ["·", "●", "●", "baseline and student", "0"] in table  # a cell that the audit leaves out is empty


def test_the_first_twenty_inherited_examples_are_named() -> None:
    text = show(full_audit())
    assert ", ".join(map(str, range(100, 120))) + " and 5 more" in text
    assert "120" not in text.partition("inherited examples: ")[2].splitlines()[0]


def test_every_part_of_an_audit_is_shown() -> None:
    text = show(full_audit())
    for part in (
        "7.97%", "- worse: memorization rate of student 1.00% → 1.90%", "- student confirmed by 1 check",
        "- run card of student belongs to other weights", "- `audits/test_a.py::test_left`", "digest `d3`", "`2.9`",
        "prefix_tokens: `50`", "`data/control.jsonl`",
    ):  # fmt: skip
        assert part in text, part


def test_several_audits_stand_under_their_names() -> None:
    text = show(full_audit(), full_audit(name="", gates=(PASSING,)))
    assert text.index("### audits/a\n") < text.index("### the root\n")
    assert "###" not in show(full_audit())


def test_an_audit_without_gates_says_so() -> None:
    assert "No gate was run." in show(AuditResult("2026", {}, {}))


def test_undefined_estimates_are_words() -> None:
    text = show(full_audit(memorization={"student": rate(0, 0), "teacher": replace(rate(1, 9), k=None)}))
    assert ["student", "0", "0", "undefined", "≤ 100.00%", "0", "2.1250 [≤ 2.2500]"] in rows(text)
    assert any(cells[:3] == ["teacher", "–", "9"] for cells in rows(text))
    assert "nan" not in text


@each_saved_report
def test_saved_reports_are_shown(saved: str) -> None:
    text = render_saved(saved, ".md")
    assert_harmless(text)
    for audit in saved_report(saved).audits:
        for failed in audit.failed:
            assert escape_markdown(failed.reason) in text
        for model in audit.models.values():
            assert model.digest in text


def test_no_report_breaks_the_page() -> None:
    for report in random_reports():
        assert_harmless(render(report))


def test_parts_are_left_out_in_order_and_named() -> None:
    failing = [gate(f"test_{index:03}", rate(19, 1000), "<=", 0.01) for index in range(300)]
    audit = full_audit(gates=(PASSING, *failing))
    text = show(audit)
    size = len(text.encode())
    shorter = show(audit, limit_bytes=size - 1)
    assert SETTINGS not in shorter
    assert "inherited examples" in shorter
    assert shorter.splitlines()[-1] == ("_Left out here: settings, versions and digests. The JSON report has them._")
    without_ids = show(audit, limit_bytes=len(shorter.encode()) - 1)
    assert "inherited examples" not in without_ids
    assert rows(without_ids)[1:302] == rows(text)[1:302]
    few = show(audit, limit_bytes=size // 2)
    assert "inherited from the teacher" in few
    assert "… and 201 more" in few
    assert "rows beyond the first 100 of each list" in few.splitlines()[-1]
    assert "baseline recites little" not in few  # failed gates are kept longest
    least = show(audit, limit_bytes=200)
    assert least.startswith(text.splitlines()[0])
    assert "JSON report" in least
    assert show(audit, limit_bytes=20) == show(audit, limit_bytes=0) == ""


def test_audits_with_failed_gates_are_kept_longest() -> None:
    green = [full_audit(name=f"green{index}", gates=(PASSING,)) for index in range(30)]
    text = show(*green, full_audit(name="red"), limit_bytes=6000)
    assert "### red" in text
    assert "audits\n" in text


def test_no_limit_is_exceeded_and_every_page_is_whole() -> None:
    shortened = 0
    for report in random_reports()[:20]:
        whole_text = render(report)
        for limit_bytes in (0, 200, 1000, 3000, 10_000, len(whole_text.encode()) - 1):
            text = render(report, limit_bytes=limit_bytes)
            assert len(text.encode()) <= limit_bytes
            assert_harmless(text)
            if text != whole_text:
                assert not text or "Left out here" in text
                shortened += bool(text)
    assert shortened > len(DETAILS)


@pytest.mark.parametrize("character", ["x", "|", "\\", "@", "`", "\n"])
def test_a_text_of_a_megabyte_is_cut(character: str) -> None:
    long = character * 1_000_000
    text = show(full_audit(gates=(replace(FAILING, reason=long, command=long),), warnings=(long,)))
    assert len(text) < 30_000
    assert "1 000 000 characters" in text
