"""A setting is read from the file that pytest takes for its configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_kdmem.cli.pytest_configuration import configured


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("pyproject.toml", "[tool.pytest]\nkdmem_x = 3", "3"),
        ("pyproject.toml", "[tool.pytest.ini_options]\nkdmem_x = '3'", "3"),
        ("pyproject.toml", "[tool.pytest]\nother = 3", None),
        ("pyproject.toml", "[tool.pytest\nkdmem_x = 3", None),
        ("pytest.toml", "[pytest]\nkdmem_x = 3", "3"),
        ("pytest.toml", "kdmem_x = 3", None),
        ("pytest.ini", "[pytest]\nkdmem_x = 3%", "3%"),
        ("pytest.ini", "kdmem_x = 3", None),
        ("tox.ini", "[pytest]\nkdmem_x = 3", "3"),
        ("setup.cfg", "[tool:pytest]\nkdmem_x = 3", "3"),
    ],
)
def test_the_value_is_read_in_every_format(tmp_path: Path, name: str, text: str, value: str | None) -> None:
    (tmp_path / name).write_text(text)
    (tmp_path / "below").mkdir()
    assert configured("kdmem_x", tmp_path / "below") == value
