"""Foreign text in Markdown reads as the original, and no part of it is markup or becomes a link."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from pytest_kdmem.report.markdown_text import WORD_JOINER, code_span, escape_markdown, table
from pytest_kdmem.report.sanitize import sanitize
from tests.report.any_report import HOSTILE, TEXT

PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
# What GitHub links or draws in rendered text: mentions, issues, addresses, emoji, mathematics.
LINKED_BY_GITHUB = re.compile(r"@\w|#\d|(?i:gh-\d)|://|(?i:www\.)|:[\w+-]+:|\$")


@given(TEXT | st.lists(st.sampled_from(HOSTILE), max_size=5).map("".join))
@settings(max_examples=400)
def test_escaped_text_reads_as_the_original(text: str) -> None:
    escaped = escape_markdown(text)
    for page in (f"- {escaped}\n", f"{escaped}\n", f"| h | k |\n| --- | --- |\n| {escaped} | z |\n"):
        in_table = page.startswith("| h")
        parsed = [token.children or () for token in PARSER.parse(page) if token.type == "inline"]
        assert len(parsed) in ((4,) if in_table else (0, 1))
        children = () if not parsed else parsed[2] if in_table else parsed[0]
        assert all(token.type == "text" for token in children)
        read = "".join(token.content for token in children)
        assert read.replace(WORD_JOINER, "") == sanitize(text).strip().replace("$", "＄")
        assert not LINKED_BY_GITHUB.search(read)


@given(TEXT | st.lists(st.sampled_from(HOSTILE), max_size=5).map("".join))
@settings(max_examples=400)
def test_no_text_breaks_out_of_a_code_span(text: str) -> None:
    span_text = code_span(text)
    cells = [
        token.children for token in PARSER.parse(f"| h | k |\n| --- | --- |\n| {span_text} | z |\n") if token.children
    ]
    assert len(cells) == 4
    (span,) = cells[2] or ()
    if sanitize(text).strip():
        assert (span.type, span.content) == ("code_inline", sanitize(text))
    else:
        assert (span.type, span.content) == ("text", "–")


def test_a_table_has_its_cells_as_they_are_and_a_note_below() -> None:
    assert table(("a", "b"), [("1", "*2*")]) == "| a | b |\n| --- | --- |\n| 1 | *2* |\n"
    assert table(("a",), [], "… and 3 more") == "| a |\n| --- |\n\n… and 3 more\n"
