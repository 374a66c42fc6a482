"""Which tests of a file are audits is read from its source, as pytest would find them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_kdmem.plugin.written_tests import UNKNOWN, Patterns, declares_roles, written_audits


def names(folder: Path, source: str, conftest: str = "", patterns: Patterns = Patterns()) -> list[str]:  # noqa: B008
    (folder / "conftest.py").write_text(conftest)
    (folder / "test_a.py").write_text(source)
    return [test.name for test in written_audits(folder / "test_a.py", [folder / "conftest.py"], patterns)]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def test_a(memorization): ...\ndef test_b(tmp_path): ...", ["test_a"]),
        ("async def test_a(*, inheritance): ...", ["test_a"]),
        ("class TestA:\n    def test_b(self, accepted): ...\n    def helper(self, accepted): ...", ["TestA::test_b"]),
        ("class TestA:\n    class TestB:\n        def test_c(self, thresholds): ...", ["TestA::TestB::test_c"]),
        ("class Gates:\n    def test_b(self, memorization): ...", []),
        ("if x:\n    def test_a(memorization): ...\nelse:\n    def test_b(memorization): ...", ["test_a", "test_b"]),
        ("try:\n    import x\nexcept ImportError:\n    def test_a(memorization): ...", ["test_a"]),
        ("def test_a(memorization): ...\ndef test_a(memorization): ...", ["test_a", "test_a"]),
        ("def rate(memorization): ...\ndef low(rate): ...\ndef test_a(low): ...", ["test_a"]),
        ("import pytest\n@pytest.fixture(name='low')\ndef rate(memorization): ...\ndef test_a(low): ...", ["test_a"]),
        ("import pytest\n@pytest.mark.usefixtures('memorization')\ndef test_a(): ...", ["test_a"]),
        ("def memorization(): ...\ndef test_a(memorization): ...", []),
        ("def memorization(memorization): ...\ndef test_a(memorization): ...", ["test_a"]),
        ("def test_a(rate_of_all): ...", ["test_a"]),
        ("def test_a():\n    def test_b(memorization): ...", []),
        ("from gates import *", [UNKNOWN]),
        ("from gates import test_a", [UNKNOWN]),
        ("from gates import Base\nclass TestA(Base): ...", [UNKNOWN]),
        ("def (", [UNKNOWN]),
        ("", []),
    ],
)
def test_audits_are_told_by_their_arguments(tmp_path: Path, source: str, expected: list[str]) -> None:
    assert names(tmp_path, source, "def rate_of_all(memorization): ...") == expected


def test_names_of_tests_are_those_of_the_configuration(tmp_path: Path) -> None:
    source = "def gate_a(memorization): ...\nclass Gates:\n    def gate_b(self, memorization): ..."
    assert names(tmp_path, source, patterns=Patterns(("gate_*",), ("Gates",))) == ["gate_a", "Gates::gate_b"]


@pytest.mark.parametrize(
    ("conftest", "declares"),
    [
        ("def student(): ...", True),
        ("@pytest.fixture(scope='session', name='training_set')\ndef data(): ...", True),
        ("def released(student): ...", False),
        ("def (", True),
    ],
)
def test_a_conftest_that_declares_a_role_begins_another_audit(tmp_path: Path, conftest: str, declares: bool) -> None:
    (tmp_path / "conftest.py").write_text(conftest)
    assert declares_roles(tmp_path / "conftest.py") == declares
