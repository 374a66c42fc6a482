"""A terminal's screen, as far as progress needs it: what stands on it after some output."""

from __future__ import annotations

import re

TOKEN = re.compile(r"\x1b\[(?P<arguments>[?\d;]*)(?P<command>[A-Za-z])|(?P<text>.)", re.DOTALL)


def screen_of(output: str, columns: int) -> list[str]:
    """Return the lines of a screen that is never full, without the spaces and the empty lines at their ends."""
    lines: list[list[str]] = [[]]
    row = column = 0
    for match in TOKEN.finditer(output):
        text, command = match["text"], match["command"]
        number = int(match["arguments"] or 1) if (match["arguments"] or "1").isdigit() else 1
        if text == "\n":
            row, column = row + 1, 0
        elif text == "\r":
            column = 0
        elif command == "A":
            row = max(0, row - number)
        elif command == "G":
            column = number - 1
        elif command == "K":
            lines[row] = [] if match["arguments"] == "2" else lines[row][:column]
        elif text is not None:
            if column == columns:
                row, column = row + 1, 0
            while len(lines) <= row:
                lines.append([])
            lines[row].extend(" " * (column + 1 - len(lines[row])))
            lines[row][column] = text
            column += 1
        while len(lines) <= row:
            lines.append([])
    return "\n".join("".join(line).rstrip() for line in lines).rstrip("\n").splitlines()
