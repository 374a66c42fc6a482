"""Writes text and tables as Markdown, in which nothing that comes from elsewhere is markup."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from pytest_kdmem.report.sanitize import sanitize

# GitHub links names, issues and addresses and draws emoji in the rendered text, so that escapes of Markdown do not
# prevent it. A word joiner, which is invisible, does.
LINKED = re.compile(r"@|#(?=\d)|[Gg][Hh]-(?=\d)|:(?=//)|[Ww]{3}(?=\.)|:(?=[\w+-]+(?::|$))")
WORD_JOINER = "\u2060"
# What begins an element in Markdown, and how it is written as text. A dollar sign, which begins mathematics, has no
# escape.
MARKUP = re.compile(r"[\\`*\[\]|~<>&$]|(?<![^\W_])_|^[-+=#]|^\d+[.)](?=\s|$)")
REPLACEMENTS = {"<": "&lt;", ">": "&gt;", "&": "&amp;", "$": "＄"}


def escape_markdown(text: str) -> str:
    """Return foreign text for a paragraph or table cell, in one line, none of which is markup or becomes a link."""
    written = MARKUP.sub(_escape_mark, sanitize(text).strip())
    return LINKED.sub(rf"\g<0>{WORD_JOINER}", written)


def _escape_mark(mark: re.Match[str]) -> str:
    return REPLACEMENTS.get(mark[0], f"{mark[0][:-1]}\\{mark[0][-1]}")


def code_span(text: str) -> str:
    """Return foreign text as a code span in one line, which may stand in a table and may hold backticks."""
    content = sanitize(text).replace("|", "\\|")
    if not content.strip():
        return "–"
    fence = "`" * (max((len(run) for run in re.findall("`+", content)), default=0) + 1)
    padding = " " * ("`" in (content[:1], content[-1:]) or content[:1] == content[-1:] == " ")
    return f"{fence}{padding}{content}{padding}{fence}"


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], rest: str = "") -> str:
    """Return a table of cells that are Markdown already, and below it a note on the rows that are left out."""
    lines = (headings, ["---"] * len(headings), *rows)
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines) + (f"\n{rest}\n" if rest else "")


def titled_list(title: str, items: Iterable[str], rest: str, escape: Callable[[str], str]) -> str:
    """Return a list below its title, which ends with what is left out of it; empty if there is nothing to list."""
    lines = [*map(escape, items), *filter(None, [rest])]
    return f"**{title}**\n\n{bullets(lines)}" if lines else ""


def bullets(lines: Iterable[str]) -> str:
    """Return a list of lines that are Markdown already."""
    return "".join(f"- {line}\n" for line in lines)
