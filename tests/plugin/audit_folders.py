"""Folders of audits below one root, for tests of several audits in one session."""

from __future__ import annotations

from pytest_kdmem.auditing.report import Report, read_report

RATE = """
def test_rate(memorization, student):
    assert memorization(student).rate <= {rate}
"""


# Tests of one session in an order in which pytest would never collect them.
SHUFFLE = """
def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: (item.name, item.path))
"""


GATE = "def test_rate(memorization, student):\n    assert memorization(student).rate <= {}\n"


RELEASED = '\n@pytest.fixture(scope="session")\ndef released(student):\n    return student\n'


def extend(project, source: str) -> None:
    """Add to the conftest of the root."""
    conftest = project.path / "conftest.py"
    conftest.write_text(conftest.read_text() + source)


def read(project) -> Report:
    return read_report(project.path / "audit.json")


def recited(report: Report) -> dict[str, int]:
    """Examples that each audit's student recites, by the audit's name."""
    return {audit.name: audit.memorization["student"].k for audit in report.audits}


def fixture(name: str, body: str, arguments: str = "") -> str:
    return f'\n@pytest.fixture(scope="session")\ndef {name}({arguments}):\n    {body}\n'
