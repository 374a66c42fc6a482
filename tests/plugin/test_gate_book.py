"""Whatever is compared while audits run becomes a gate, of the test's last attempt and of what failed before."""

from __future__ import annotations

import pytest

from tests.plugin.held_gates import extend_conftest, printed

STRAY = {
    "a later thread": (
        "import threading\n\nBAND = threading.Event()\n\n"
        "def test_starts(memorization, student):\n    rate = memorization(student).rate\n    assert rate <= 0.3\n"
        "    def late():\n        BAND.wait(5)\n        rate <= 0.01\n"
        "    threading.Thread(target=late, name='late').start()\n\n"
        "def test_unit():\n    BAND.set()\n    [t.join() for t in threading.enumerate() if t.name == 'late']\n"
    ),
    "a test that is no audit": (
        "RATES = []\n\ndef test_starts(memorization, student):\n    RATES.append(memorization(student).rate)\n"
        "    assert RATES[0] <= 0.3\n\ndef test_unit():\n    RATES[0] <= 0.01\n"
    ),
    "the end of the session": (
        "import pytest\n\n@pytest.fixture(scope='session')\ndef late(memorization, student):\n    yield\n"
        "    memorization(student).rate <= 0.01\n\ndef test_starts(memorization, student, late):\n"
        "    assert memorization(student).rate <= 0.3\n"
    ),
}  # fmt: skip


@pytest.mark.parametrize("source", STRAY.values(), ids=STRAY)
def test_what_is_compared_outside_of_an_audit_s_test_must_hold(holding_project, source):
    holding_project.gates(source)
    result = holding_project.run()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "> 1.00%" in printed(result)


@pytest.mark.parametrize("attempts", [1, 2])
def test_a_test_that_is_run_again_has_the_gates_of_its_last_attempt_and_those_that_failed(holding_project, attempts):
    """As pytest-rerunfailures does it: a failed attempt is reported as another outcome, and the test begins again."""
    extend_conftest(
        holding_project,
        """
from _pytest.runner import runtestprotocol

def pytest_runtest_protocol(item, nextitem):
    for attempt in range(3):
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
        failed = any(report.failed for report in reports)
        for report in reports:
            if report.failed and attempt < 2:
                report.outcome = "rerun"
            item.ihook.pytest_runtest_logreport(report=report)
        if not failed:
            break
    return True
""",
    )
    holding_project.gates(f"""
        ATTEMPTS = []

        def test_fails_at_first(memorization, student):
            ATTEMPTS.append(1)
            if len(ATTEMPTS) <= {attempts}:
                assert memorization(student).rate <= 0.01
            else:
                assert memorization(student).rate <= 0.3

        def test_breaks_at_first(memorization, student, broken=[]):
            broken.append(1)
            if len(broken) < 2:
                raise OSError
            assert memorization(student).rate <= 0.3
    """)
    result = holding_project.run("--kdmem-report=audit.json")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    gates = [(gate.name, gate.outcome) for gate in holding_project.report("audit.json").gates]
    assert gates == [("test_fails_at_first", "fail"), ("test_fails_at_first", "pass"), ("test_breaks_at_first", "pass")]
