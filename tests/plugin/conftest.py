"""Every test here runs whole projects, or commands, with no settings but its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.plugin.audit_folders import RATE
from tests.plugin.held_gates import HOLDS


@pytest.fixture(autouse=True)
def _no_settings(no_settings_from_outside: None) -> None:
    pass


@pytest.fixture(scope="module")
def store_of_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of scores for the tests of one file."""
    return tmp_path_factory.mktemp("store")


@pytest.fixture
def one_store(store_of_file: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Projects of a file keep their scores in one folder, as what its tests are of comes after scoring."""
    monkeypatch.setenv("KDMEM_CACHE_DIR", str(store_of_file))
    return store_of_file


@pytest.fixture
def folder(audit_project):
    """Writes a folder of audits: what its conftest declares by name and source, and its tests."""
    header = "import pytest\nfrom pytest_kdmem import Model, TrainingSet\n"

    def write(name: str, tests: str, declared: str = "", **models: str | Path) -> None:
        path = audit_project.path / name
        path.mkdir(parents=True, exist_ok=True)
        fixtures = [
            f'@pytest.fixture(scope="session")\ndef {role}():\n    return Model({str(getattr(audit_project.cast, str(source), source))!r})\n'  # noqa: E501
            for role, source in models.items()
        ]
        (path / "conftest.py").write_text("\n".join([header, *fixtures, declared]))
        (path / f"test_{path.name}.py").write_text(tests)

    return write


@pytest.fixture
def two(audit_project, folder):
    """Audits of two students under one teacher, baseline and training set, all gates green."""
    audit_project.declare(student=None)
    folder("audits/a", RATE.format(rate=0.25), student="student")
    folder("audits/b", RATE.format(rate=0.35), student="teacher")
    return audit_project


@pytest.fixture
def holding_project(audit_project):
    """An audit with a gate that holds; what follows is beside it."""
    audit_project.gates(HOLDS)
    return audit_project
