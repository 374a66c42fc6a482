"""Versions are those of the metadata, and metadata that are put before others count at once."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest

from pytest_kdmem.base.versions import installed_version
from tests.engines.any_distribution import install_metadata


@pytest.mark.parametrize("distribution", ["pytest-kdmem", "torch", "PyYAML", "scikit_learn"])
def test_the_version_is_that_of_the_metadata(distribution: str) -> None:
    assert installed_version(distribution) == metadata.version(distribution)


def test_a_distribution_that_is_put_before_another_on_the_path_counts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    installed = installed_version("torch")
    with monkeypatch.context() as context:
        install_metadata(context, tmp_path, "torch", "0.1+of.a.test")
        assert installed_version("torch") == "0.1+of.a.test"
    assert installed_version("torch") == installed


def test_what_is_not_installed_is_looked_for_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(metadata.PackageNotFoundError):
        installed_version("kdmem-is-no-such-package")
    install_metadata(monkeypatch, tmp_path, "kdmem-is-no-such-package", "3")
    assert installed_version("kdmem-is-no-such-package") == "3"


def test_metadata_are_read_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install_metadata(monkeypatch, tmp_path, "read-once", "1")
    assert installed_version("read-once") == "1"
    [file] = tmp_path.rglob("METADATA")
    file.unlink()
    assert installed_version("read-once") == "1"
