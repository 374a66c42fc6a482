"""Metadata of packages that are not installed, as `importlib.metadata` reads it."""

from __future__ import annotations

from pathlib import Path

import pytest


def install_metadata(monkeypatch: pytest.MonkeyPatch, folder: Path, name: str, version: str) -> None:
    """Put a distribution's metadata before all others on ``sys.path``, until the test ends."""
    site = folder / f"site-{len(list(folder.glob('site-*')))}"
    metadata = site / f"{name.replace('-', '_')}-{version}.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    monkeypatch.syspath_prepend(str(site))
