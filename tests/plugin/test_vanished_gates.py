"""Exit code 0 is a release: gates that were skipped, dropped, lost or never collected do not end in it unseen."""

from __future__ import annotations

import os

import pytest

from pytest_kdmem.plugin.exit_codes import NOT_DECIDED
from tests.plugin.held_gates import FAILS, HOLDS, extend_conftest, printed

METHOD_FAILS = "    def test_fails(self, memorization, student):\n        assert memorization(student).rate <= 0.01\n"
PYTEST = "import pytest\n\n"


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
def test_a_gate_that_is_not_held_is_no_release(holding_project, source):
    holding_project.gates(f"{PYTEST}{HOLDS}\n\n{source}")
    result = holding_project.run("-p", "no:warnings", "--kdmem-report=audit.md")
    assert result.ret == NOT_DECIDED
    assert "This is no release (exit code 10)" in printed(result)
    assert "Not decided" in (holding_project.path / "audit.md").read_text()
    assert holding_project.run("-p", "no:warnings", "--kdmem-partial").ret == pytest.ExitCode.OK


@pytest.mark.parametrize("mark", ["xfail", "xfail(strict=True)"])
def test_a_gate_that_fails_as_expected_fails(holding_project, mark):
    holding_project.gates(f"{PYTEST}{HOLDS}\n\n@pytest.mark.{mark}\n{FAILS}")
    result = holding_project.run("--kdmem-report=audit.md")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "Do not ship" in (holding_project.path / "audit.md").read_text()


@pytest.mark.parametrize(
    "arguments",
    [["-k", "holds"], ["--deselect=test_audit.py::test_fails"], ["test_audit.py::test_holds"], ["-m", "not slow"]],
    ids=str,
)
def test_a_gate_that_was_left_out_by_an_option_is_no_release(holding_project, arguments):
    holding_project.gates(f"{PYTEST}{HOLDS}\n\n@pytest.mark.slow\n{FAILS}")
    assert holding_project.run(*arguments, "-p", "no:warnings").ret == NOT_DECIDED


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
def test_a_gate_that_a_conftest_drops_is_no_release(holding_project, source):
    holding_project.pytester.makepyfile(test_more=FAILS)
    extend_conftest(holding_project, source)
    result = holding_project.run()
    assert result.ret not in (pytest.ExitCode.OK, pytest.ExitCode.INTERNAL_ERROR)
    assert "May ship" not in printed(result)
    if "exit" not in source and "loop" not in source:
        assert "test_fails" in printed(result)


def test_an_exit_of_a_nested_conftest_is_no_release(holding_project):
    folder = holding_project.path / "later"
    folder.mkdir()
    (folder / "conftest.py").write_text("import pytest\npytest.exit('done', 0)")
    (folder / "test_later.py").write_text(FAILS)
    (holding_project.path / "test_audit.py").unlink()
    assert holding_project.run().ret == pytest.ExitCode.INTERRUPTED


def test_a_folder_of_one_audit_is_whole_beside_others(two):
    assert two.run("audits/a").ret == pytest.ExitCode.OK
    assert two.run("audits/b").ret == pytest.ExitCode.OK
    assert two.run("audits").ret == pytest.ExitCode.OK
    (two.path / "audits/a/test_more.py").write_text(FAILS)
    assert two.run("audits/a/test_a.py").ret == NOT_DECIDED


def test_helpers_and_unit_tests_beside_an_audit_are_no_gates(holding_project):
    holding_project.pytester.makepyfile(
        test_helpers="def at_most(estimate, limit):\n    assert estimate <= limit",
        test_unit="def test_unit(tmp_path):\n    pass",
        test_base=f"class Gates:\n{METHOD_FAILS}",
    )
    assert holding_project.run().ret == pytest.ExitCode.OK
    assert holding_project.run("test_audit.py").ret == pytest.ExitCode.OK


def test_gates_of_a_base_class_are_held_where_they_are_inherited(holding_project):
    gate = HOLDS.replace("(", "(self, ", 1).replace("    assert", "        assert")
    holding_project.gates(
        f"class TestBase:\n    __test__ = False\n\n    {gate}\n\nclass TestOwn(TestBase):\n    __test__ = True\n"
    )
    assert holding_project.run().ret == pytest.ExitCode.OK


def test_nothing_of_an_audit_is_left_in_the_environment(holding_project):
    holding_project.run()
    assert not [name for name in os.environ if "KDMEM" in name]
