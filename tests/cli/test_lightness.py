"""A command imports what it needs, and nothing that takes seconds before it could say what is wrong."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

RECORD = Path(__file__).parents[1] / "records" / "report.json"
HEAVY = ("torch", "transformers", "datasets", "sklearn", "scipy", "pyarrow", "numpy", "matplotlib", "tokenizers")
NOTE_MODULES = f"""
import atexit, sys
atexit.register(lambda: print("MODULES", *[name for name in {HEAVY} if name in sys.modules]))
from pytest_kdmem.cli import main
main(sys.argv[1:])
"""


@pytest.mark.parametrize(
    ("arguments", "needed"),
    [
        (["--help"], set()),
        (["distill", "--help"], set()),
        (["study", "missing.toml", "--out=study"], set()),
        (["init", "audits"], {"numpy"}),
        (["card", "report.json", "README.md"], {"numpy"}),
        (["compare", "report.json", "report.json"], {"numpy", "scipy"}),
        (["comment", "report.json"], {"numpy", "pyarrow"}),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_command_imports_no_more_than_it_needs(arguments: list[str], needed: set[str], tmp_path: Path) -> None:
    shutil.copy(RECORD, tmp_path / "report.json")
    ended = subprocess.run(
        [sys.executable, "-c", NOTE_MODULES, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "Traceback" not in ended.stderr
    assert set(ended.stdout.splitlines()[-1].split()[1:]) <= needed
