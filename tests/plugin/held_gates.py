"""Gates that hold and fail over the models of an audit project, and what a run printed of them."""

from __future__ import annotations

HOLDS = "def test_holds(memorization, student):\n    assert memorization(student).rate <= 0.25\n"
FAILS = "def test_fails(memorization, student):\n    assert memorization(student).rate <= 0.01\n"


def extend_conftest(project, source: str) -> None:
    conftest = project.path / "conftest.py"
    conftest.write_text(f"{conftest.read_text()}\n{source}")


def printed(result) -> str:
    return result.stdout.str() + result.stderr.str()
