"""Two thousand damaged files are read or refused in one sentence: a part of what `python -m tests.fuzz` reads."""

from __future__ import annotations

import subprocess
import sys

from tests.conftest import ROOT

INPUTS = 2000


def test_a_damaged_file_is_read_or_refused_in_one_sentence() -> None:
    """In a process of its own, since children of one that has run a model would wait for its threads."""
    command = [sys.executable, "-m", "tests.fuzz", "--inputs", str(INPUTS), "--seed", "1", "--without", "page"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line.split("|")[1:-1] for line in done.stdout.splitlines()[2:]]
    assert len(rows) > 25
    inputs, read, refused, _, findings = map(int, rows[-1][1:])
    assert inputs == read + refused
    assert abs(inputs - INPUTS) < 50
    assert findings == 0
