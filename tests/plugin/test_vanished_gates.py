"""Exit code 0 is a release: gates that were skipped, dropped, lost or never collected do not end in it unseen."""

from __future__ import annotations

import os
import sys

import pytest

from pytest_kdmem.plugin.exit_codes import NOT_DECIDED

HOLDS = "def test_holds(memorization, student):\n    assert memorization(student).rate <= 0.25\n"
FAILS = "def test_fails(memorization, student):\n    assert memorization(student).rate <= 0.01\n"
METHOD_FAILS = "    def test_fails(self, memorization, student):\n        assert memorization(student).rate <= 0.01\n"
METHOD_HOLDS = "    def test_holds(self, memorization, student):\n        assert memorization(student).rate <= 0.25\n"
PYTEST = "import pytest\n\n"


@pytest.fixture
def project(audit_project):
    """An audit with a gate that holds; what follows is beside it."""
    audit_project.gates(HOLDS)
    return audit_project


def extend_conftest(project, source: str) -> None:
    conftest = project.path / "conftest.py"
    conftest.write_text(f"{conftest.read_text()}\n{source}")


def printed(result) -> str:
    return result.stdout.str() + result.stderr.str()


@pytest.mark.parametrize(
    "source",
    [
        f"@pytest.mark.skip\n{FAILS}",
        f"@pytest.mark.skipif(True, reason='slow')\n{FAILS}",
        f"@pytest.mark.xfail(run=False)\n{FAILS}",
        f"@pytest.mark.xfail\n{HOLDS.replace('holds', 'more')}",
        "@pytest.mark.xfail\ndef test_broken(memorization):\n    raise OSError",
        f"@pytest.mark.parametrize('limit', [])\n{FAILS.replace('student)', 'student, limit)', 1)}",
        "@pytest.fixture\ndef gone():\n    pytest.skip()\n\n" + FAILS.replace("student)", "student, gone)", 1),
        "def test_looks(memorization, student):\n    assert memorization(student).rate.value <= 0.3\n",
        f"class TestHidden:\n    __test__ = False\n\n{METHOD_FAILS}",
        f"class TestBuilt:\n    def __init__(self):\n        pass\n\n{METHOD_FAILS}",
        f"if False:\n    {FAILS.replace('    assert', '        assert')}",
        f"{FAILS}\ndel test_fails",
        f"{FAILS}\n\n{FAILS.replace('0.01', '0.3')}",
    ],
    ids=[
        "skip", "skipif", "not run", "xpass", "xfail", "no parameters", "skipped by a fixture", "only looks",
        "hidden class", "class with a constructor", "under a condition", "deleted", "shadowed",
    ],
)  # fmt: skip
def test_a_gate_that_is_not_held_is_no_release(project, source):
    project.gates(f"{PYTEST}{HOLDS}\n\n{source}")
    result = project.run("-p", "no:warnings", "--kdmem-report=audit.md")
    assert result.ret == NOT_DECIDED
    assert "Exit code 6: this is no release" in printed(result)
    assert "Not decided" in (project.path / "audit.md").read_text()
    assert project.run("-p", "no:warnings", "--kdmem-partial").ret == pytest.ExitCode.OK


@pytest.mark.parametrize("mark", ["xfail", "xfail(strict=True)"])
def test_a_gate_that_fails_as_expected_fails(project, mark):
    project.gates(f"{PYTEST}{HOLDS}\n\n@pytest.mark.{mark}\n{FAILS}")
    result = project.run("--kdmem-report=audit.md")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "Do not ship" in (project.path / "audit.md").read_text()


@pytest.mark.parametrize(
    "arguments",
    [["-k", "holds"], ["--deselect=test_audit.py::test_fails"], ["test_audit.py::test_holds"], ["-m", "not slow"]],
    ids=str,
)
def test_a_gate_that_was_left_out_by_an_option_is_no_release(project, arguments):
    project.gates(f"{PYTEST}{HOLDS}\n\n@pytest.mark.slow\n{FAILS}")
    assert project.run(*arguments, "-p", "no:warnings").ret == NOT_DECIDED


DROPPING = {
    "items": "def pytest_collection_modifyitems(items):\n"
    "    items[:] = [item for item in items if 'fails' not in item.name]",
    "early": "@pytest.hookimpl(wrapper=True, tryfirst=True)\ndef pytest_collection_modifyitems(items):\n"
    "    items[:] = [item for item in items if 'fails' not in item.name]\n    return (yield)",
    "all items": "def pytest_collection_modifyitems(items):\n    items.clear()",
    "ignored": "collect_ignore = ['test_more.py']",
    "ignored by a pattern": "collect_ignore_glob = ['*_more.py']",
    "ignored by a hook": "def pytest_ignore_collect(collection_path):\n"
    "    return True if collection_path.name == 'test_more.py' else None",
    "not made": "def pytest_pycollect_makeitem(name):\n    return [] if name == 'test_fails' else None",
    "passed by a hook": "@pytest.hookimpl(wrapper=True, tryfirst=True)\ndef pytest_runtest_makereport():\n"
    "    report = yield\n    report.outcome = 'passed'\n    return report",
    "passed by the session": "@pytest.hookimpl(trylast=True)\ndef pytest_sessionfinish(session):\n"
    "    session.exitstatus = 0",
    "exit of the session": "def pytest_sessionfinish(session):\n    pytest.exit('done', 0)",
    "exit at the start": "def pytest_sessionstart():\n    pytest.exit('done', 0)",
    "exit of the configuration": "def pytest_configure():\n    pytest.exit('done', 0)",
    "exit of the collection": "def pytest_collection_modifyitems():\n    pytest.exit('done', 0)",
    "exit before the collection": "def pytest_collection():\n    pytest.exit('done', 0)",
    "exit of a file": "def pytest_collect_file():\n    pytest.exit('done', 0)",
    "exit of the loop": "def pytest_runtestloop():\n    pytest.exit('done', 0)",
    "no loop": "def pytest_runtestloop():\n    return True",
    "no call": "def pytest_pyfunc_call():\n    return True",
    "no protocol": "def pytest_runtest_protocol(item):\n    return True if 'fails' in item.name else None",
}  # fmt: skip


@pytest.mark.parametrize("source", DROPPING.values(), ids=DROPPING)
def test_a_gate_that_a_conftest_drops_is_no_release(project, source):
    project.pytester.makepyfile(test_more=FAILS)
    extend_conftest(project, source)
    result = project.run()
    assert result.ret not in (pytest.ExitCode.OK, pytest.ExitCode.INTERNAL_ERROR)
    assert "May ship" not in printed(result)
    if "exit" not in source and "loop" not in source:
        assert "test_fails" in printed(result)


def test_an_exit_of_a_nested_conftest_is_no_release(project):
    folder = project.path / "later"
    folder.mkdir()
    (folder / "conftest.py").write_text("import pytest\npytest.exit('done', 0)")
    (folder / "test_later.py").write_text(FAILS)
    (project.path / "test_audit.py").unlink()
    assert project.run().ret == pytest.ExitCode.INTERRUPTED


def test_a_run_that_ended_before_its_collection_names_the_files_of_its_audits(project):
    extend_conftest(project, "def pytest_configure():\n    pytest.exit('done', 0)")
    result = project.run()
    assert result.ret == NOT_DECIDED
    assert "the run ended before 1 file of audits (test_audit.py) could be collected" in printed(result)


@pytest.mark.parametrize("exit_at", ["pytest_sessionstart", "pytest_configure", "pytest_collection"])
def test_a_run_without_audits_may_end_early(pytester, exit_at):
    pytester.makeconftest(f"import pytest\ndef {exit_at}():\n    pytest.exit('done', 0)")
    pytester.makepyfile("def test_other(tmp_path):\n    pass")
    assert pytester.runpytest_inprocess().ret == pytest.ExitCode.OK


@pytest.mark.parametrize(
    "arguments", [["--collect-only"], ["--fixtures"], ["--markers"], ["--help"], ["--version"]], ids=str
)
def test_what_only_shows_something_exits_as_ever(project, arguments):
    project.pytester.makepyfile(test_more=FAILS)
    assert project.run(*arguments).ret == pytest.ExitCode.OK


def test_a_folder_of_one_audit_is_whole_beside_others(two):
    assert two.run("audits/a").ret == pytest.ExitCode.OK
    assert two.run("audits/b").ret == pytest.ExitCode.OK
    assert two.run("audits").ret == pytest.ExitCode.OK
    (two.path / "audits/a/test_more.py").write_text(FAILS)
    assert two.run("audits/a/test_a.py").ret == NOT_DECIDED


def test_helpers_and_unit_tests_beside_an_audit_are_no_gates(project):
    project.pytester.makepyfile(
        test_helpers="def at_most(estimate, limit):\n    assert estimate <= limit",
        test_unit="def test_unit(tmp_path):\n    pass",
        test_base=f"class Gates:\n{METHOD_FAILS}",
    )
    assert project.run().ret == pytest.ExitCode.OK
    assert project.run("test_audit.py").ret == pytest.ExitCode.OK


def test_gates_of_a_base_class_are_held_where_they_are_inherited(project):
    gate = HOLDS.replace("(", "(self, ", 1).replace("    assert", "        assert")
    project.gates(
        f"class TestBase:\n    __test__ = False\n\n    {gate}\n\nclass TestOwn(TestBase):\n    __test__ = True\n"
    )
    assert project.run().ret == pytest.ExitCode.OK


def test_without_a_terminal_a_run_exits_as_with_one(project):
    assert project.run("-p", "no:terminal").ret == pytest.ExitCode.OK
    project.pytester.makepyfile(test_more=FAILS)
    result = project.run("-p", "no:terminal", "--kdmem-report=audit.md")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "Do not ship: 1 of 2 gates did not pass." in result.stderr.str()
    assert "Do not ship" in (project.path / "audit.md").read_text()


def test_workers_without_a_terminal_exit_as_with_one(project):
    project.pytester.makepyfile(test_more=FAILS)
    result = project.run_workers(2, "-p", "no:terminal")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "Do not ship: 1 of 2 gates did not pass." in result.stderr.str()


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
def test_what_is_compared_outside_of_an_audit_s_test_must_hold(project, source):
    project.gates(source)
    result = project.run()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "> 1.00%" in printed(result)


@pytest.mark.parametrize("attempts", [1, 2])
def test_a_test_that_is_run_again_has_the_gates_of_its_last_attempt_and_those_that_failed(project, attempts):
    """As pytest-rerunfailures does it: a failed attempt is reported as another outcome, and the test begins again."""
    extend_conftest(
        project,
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
    project.gates(f"""
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
    result = project.run("--kdmem-report=audit.json")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    gates = [(gate.name, gate.outcome) for gate in project.report("audit.json").gates]
    assert gates == [("test_fails_at_first", "fail"), ("test_fails_at_first", "pass"), ("test_breaks_at_first", "pass")]


@pytest.mark.parametrize("how", ["-O", "PYTHONOPTIMIZE", "--assert=plain"])
def test_an_audit_does_not_run_without_its_asserts(project, monkeypatch, how):
    if how == "--assert=plain":
        result = project.run(how)
    else:
        command = [sys.executable, *([how] if how == "-O" else []), "-m", "pytest", "-p", "no:cacheprovider"]
        if how != "-O":
            monkeypatch.setenv(how, "1")
        result = project.pytester.run(*command)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "An audit was expected to run with" in printed(result)


def test_an_audit_does_not_run_in_processes_that_end_with_its_gates(project):
    """The option is that of pytest-forked."""
    extend_conftest(project, "def pytest_addoption(parser):\n    parser.addoption('--forked', action='store_true')")
    result = project.run("--forked")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "--forked or a mark of that name gives each test a process that ends with its gates" in printed(result)


def test_nothing_of_an_audit_is_left_in_the_environment(project):
    project.run()
    assert not [name for name in os.environ if "KDMEM" in name]
