"""A terminal, as far as progress needs it: what a program writes to it, and what stands on its screen afterwards."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

# A program of its own session, whose terminal this is, so that Ctrl-C reaches it and all that it started.
OWNS_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)

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


def output_on_terminal(command: Sequence[str], columns: int, cwd: Path, *, ctrl_c_after: str = "") -> str:
    """What a command writes to a terminal of so many columns.

    Args:
        command: Executable and arguments.
        columns: Width of the terminal.
        cwd: Folder in which it runs.
        ctrl_c_after: What it has written when Ctrl-C is pressed, once; "" presses nothing.
    """
    reading, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "CI", "NO_COLOR")}
    with subprocess.Popen(
        [sys.executable, "-c", OWNS_TERMINAL, *command],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        cwd=cwd,
        start_new_session=True,
        env=environment | {"TERM": "xterm"},
    ):
        os.close(terminal)
        output, is_to_press = b"", bool(ctrl_c_after)
        with suppress(OSError):  # how a terminal says that its last process has ended
            while part := os.read(reading, 1 << 16):
                output += part
                if is_to_press and ctrl_c_after.encode() in output:
                    is_to_press = os.write(reading, b"\x03") == 0
    os.close(reading)
    return output.decode()
