"""The simulation of how often each bound holds, over a few sizes and with few draws."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SIMULATION = Path(__file__).parents[2] / "benchmarks/coverage.py"


@pytest.mark.slow
def test_every_bound_holds_in_every_cell_as_often_as_its_confidence_says() -> None:
    command = [sys.executable, str(SIMULATION), "--draws", "40", "--sizes", "10", "30", "200", "2000"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout
    assert "standard errors: none" in result.stdout
