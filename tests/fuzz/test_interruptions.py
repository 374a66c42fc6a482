"""A run that is killed, whose store is damaged or whose disk is full is followed by one that writes the same bytes."""

from __future__ import annotations

import subprocess
import sys

from tests.conftest import ROOT
from tests.fuzz.shard_damages import DAMAGES


def test_no_row_is_lost_or_doubled() -> None:
    """In a process of its own: children of one that has run a model with several threads would wait for these."""
    counts = {"--kills": 3, "--damages": len(DAMAGES), "--disks": 2}
    options = [text for name, count in counts.items() for text in (name, str(count))]
    command = [sys.executable, "-m", "tests.fuzz.interruptions", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in done.stdout.splitlines()[2:]]
    ends = {name: (int(points), end) for name, points, end, lost in rows if lost == "0"}
    assert ends["killed at an operation"] == (2, "2 signal 9")
    assert ends["damaged shard"][0] == len(DAMAGES)
    assert "one sentence" in ends["failing write"][1]
