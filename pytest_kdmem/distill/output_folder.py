"""Checks the folder that a trained model goes to, without torch."""

from __future__ import annotations

from pathlib import Path

from pytest_kdmem.errors import SpecError


def check_output_folder(out: Path) -> None:
    """Raise SpecError if a trained model cannot be put there."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SpecError(
            f"An empty or new folder was expected for the trained model; {out} is a file or holds files already; choose"
            " another --out."
        )
