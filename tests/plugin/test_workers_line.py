"""The process that started workers of pytest-xdist draws one line of what they tell, and nothing is left of it."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest

from pytest_kdmem.base.task_progress import TaskState
from pytest_kdmem.plugin.workers_line import beside_others, followed_worker
from tests.audit_project import ALONE
from tests.screen import output_on_terminal, screen_of

TEACHER = TaskState("teacher", 900, False, 450, 10.0, "", "")
STUDENT = TaskState("student", 900, False, 630, 10.0, "loss 2.1", "")
LOADING = TaskState("", None, False, 0, None, "", "opening baseline")


def test_the_task_that_takes_longest_is_shown_until_it_ends():
    states = {"gw0": LOADING, "gw1": STUDENT, "gw2": TEACHER}
    assert followed_worker(states, "") == "gw2"
    assert followed_worker(states, "gw1") == "gw1"
    assert followed_worker(states | {"gw1": replace(STUDENT, status="loading the model")}, "gw1") == "gw2"
    assert followed_worker({"gw0": LOADING}, "gw1") == "gw0"
    assert followed_worker({}, "gw1") == ""


def test_the_others_are_noted_beside_it():
    states = {"gw0": LOADING, "gw1": STUDENT, "gw2": TEACHER}
    assert beside_others(states, "gw2") == replace(TEACHER, note="student 70%")
    assert beside_others(states, "gw1") == replace(STUDENT, note="teacher 50%, loss 2.1")
    assert beside_others({"gw0": LOADING}, "gw0") == LOADING


PLUGIN = '''
import os
import time
import pytest
from pytest_kdmem.plugin.session import session_of


@pytest.fixture
def scored(pytestconfig):
    """Stands for a score."""
    progress = session_of(pytestconfig).progress
    progress.status("opening student")
    time.sleep(0.3)
    progress.start("student", 4)
    progress.advance(2)
    time.sleep(0.5)
    yield progress
    progress.finish()
'''
TESTS = """
import os, time

def test_first(): pass
def test_second(scored): pass
def test_third(scored): time.sleep(0.5)
def test_fourth(): pass
"""


WORKERS = [part for name in ALONE[1::2] if name != "no:xdist" for part in ("-p", name)] + ["-n", "2"]


def output_of_workers(pytester, tests: str, *options: str, columns: int = 80, ctrl_c_after: str = "") -> str:
    pytester.makeconftest(PLUGIN)
    pytester.makepyfile(test_release=tests)
    command = [sys.executable, "-m", "pytest", "--color=no", *WORKERS, *options]
    output = output_on_terminal(command, columns, pytester.path, ctrl_c_after=ctrl_c_after)
    assert "kdmem: opening student" in output
    assert "2/4" in output
    return output


@pytest.mark.parametrize(("columns", "options"), [(60, []), (80, ["-q"]), (120, ["--dist=loadfile"])])
def test_the_line_stands_below_what_pytest_writes_and_vanishes(pytester, columns, options):
    """Three runs in processes of their own, of some two seconds each."""
    screen = screen_of(output_of_workers(pytester, TESTS, *options, columns=columns), columns)
    assert not [line for line in screen if "kdmem: " in line]
    [letters] = [line for line in screen if line.startswith("....")]
    assert letters.split() == ["....", "[100%]"]
    assert "4 passed" in screen[-1]


def test_a_worker_that_crashes_leaves_nothing_of_its_line(pytester):
    output = output_of_workers(pytester, TESTS.replace("time.sleep(0.5)", "time.sleep(0.5) or os._exit(1)"), "-v")
    screen = screen_of(output, 80)
    assert not [line for line in screen if "kdmem: " in line]
    assert any("1 failed, 3 passed" in line for line in screen)
    assert sum("PASSED test_release.py" in line for line in screen) == 3


def test_ctrl_c_leaves_nothing_of_the_line(pytester):
    tests = TESTS.replace("time.sleep(0.5)", "time.sleep(60)")
    output = output_of_workers(pytester, tests, ctrl_c_after="2/4")
    assert "^C" in output
    screen = screen_of(output, 80)
    assert not [line for line in screen if "kdmem: " in line]
    assert any("KeyboardInterrupt" in line for line in screen)
    assert "ending the workers" in output
    assert "Interrupted, and no gate was evaluated. Exit code 2: this is no release." in " ".join(screen)


def test_nothing_is_drawn_in_a_log(pytester):
    pytester.makeconftest(PLUGIN)
    pytester.makepyfile(test_release=TESTS)
    result = pytester.runpytest_subprocess(*WORKERS)
    result.assert_outcomes(passed=4)
    assert "student" not in result.stdout.str() + result.stderr.str()
