"""Joins the lines of WikiText into its articles, which begin at headings such as `` = Robert Boulter = ``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from pytest_kdmem.corpus.columns import Document
from pytest_kdmem.errors import DataError

# Headings of sections have more signs on either side: " = = Career = = ".
TITLE = re.compile(r"= (?!= )\S.*(?<! =) =")


def join_articles(lines: Iterable[Document], source: str) -> Iterator[str]:
    """One text per article: its lines without the blank ones, joined by line feeds.

    A title is a heading between blank lines; a line such as `` = Wins ; L = `` in the legend of a table has others
    beside it. Lines before the first title become a text of their own, so that nothing is lost.

    Args:
        lines: Lines with or without line ends, blank ones included.
        source: Name of the training set in messages.

    Raises:
        DataError: A line is token ids, or no line is a title.
    """
    article: list[str] = []
    titles = 0
    before, line = "", None
    for after in _with_end(lines, source):
        if line is not None:
            if TITLE.fullmatch(line.strip()) and not before.strip() and not after.strip():
                titles += 1
                if article:
                    yield "\n".join(article)
                article = []
            if line.strip():
                article.append(line)
            before = line
        line = after
    if not titles:
        raise DataError(
            f"Articles that begin with a heading ` = Title = ` between blank lines were expected in {source}, and no"
            " line is one; read it with documents='lines'."
        )
    yield "\n".join(article)


def _with_end(lines: Iterable[Document], source: str) -> Iterator[str]:
    """Lines without their ends, and a blank one after the last."""
    for number, line in enumerate(lines, start=1):
        if not isinstance(line, str):
            raise DataError(
                f"Lines of text were expected in {source}, as articles are joined from them; found token ids in row"
                f" {number}: read it with documents='lines'."
            )
        yield line.rstrip("\r\n")
    yield ""
