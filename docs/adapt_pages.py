"""Adapts pages to the site; mkdocs calls it as a hook. On GitHub they read as they are written.

Blocks of a console become a block of commands, which can be copied and run, and a block of what these print. Tables of
options get a class, by which they are stacked on narrow screens, and no option in a sentence is divided
between two lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby
from typing import Any

CONSOLE = re.compile(r"(?ms)^```console\n(.*?)^```$")
PROMPT = "$ "
# Code in a sentence or a table, and an option in it, which is not to be divided after its hyphens.
CODE = re.compile(r"(?<!<pre>)(?<!</span>)<code>([^<]+)</code>")
OPTION = re.compile(r"(?<![\w-])--?[a-z][\w-]*")
NOT_DIVIDED = r'<span class="option">\g<0></span>'
PAGES_OF_OPTIONS = ("settings.md", "reference/commands.md")
# A table up to the end of its header.
HEADER = re.compile(r"(?s)<table>(.*?)</thead>")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Divide each block of a console."""
    return CONSOLE.sub(lambda block: "\n".join(_blocks(block[1].splitlines())), markdown)


def on_page_content(html: str, page: Any, **_: Any) -> str:
    """Mark the tables of options, and options in running text."""
    html = CODE.sub(lambda code: f"<code>{OPTION.sub(NOT_DIVIDED, code[1])}</code>", html)
    if page.file.src_uri not in PAGES_OF_OPTIONS:
        return html
    return HEADER.sub(_stacked, html).replace("</table>", "</table></div>")


def _stacked(header: re.Match[str]) -> str:
    """A table that is stacked on narrow screens, where a column of defaults has no header of its own."""
    classes = "options defaults" if "<th>default</th>" in header[1] else "options"
    return f'<div class="{classes}">{header[0]}'


def _blocks(lines: list[str]) -> Iterator[str]:
    for is_command, group in groupby(_told_apart(lines), key=lambda pair: pair[0]):
        text = "\n".join(line for _, line in group)
        yield f"```bash\n{text}\n```\n" if is_command else f"``` {{ .text .no-copy .output }}\n{text}\n```\n"


def _told_apart(lines: list[str]) -> Iterator[tuple[bool, str]]:
    """Each line without its prompt, and whether it is of a command, which may go on after a backslash."""
    goes_on = False
    for line in lines:
        is_command = goes_on or line.startswith(PROMPT)
        yield is_command, line if goes_on else line.removeprefix(PROMPT)
        goes_on = is_command and line.endswith("\\")
