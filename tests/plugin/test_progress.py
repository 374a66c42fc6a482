"""Progress is a live line on a terminal and lines in a log; a quiet log shows none."""

from __future__ import annotations

import sys

import pytest

from pytest_kdmem.base.progress import Lines
from pytest_kdmem.base.progress_bar import Bar
from pytest_kdmem.plugin.progress import progress_of
from tests.audit_project import ALONE
from tests.screen import output_on_terminal, screen_of


@pytest.mark.parametrize("is_terminal", [False, True])
def test_progress_fits_where_it_is_shown(pytester, is_terminal):
    config = pytester.parseconfigure(*ALONE)
    config.pluginmanager.get_plugin("terminalreporter").isatty = is_terminal
    assert isinstance(progress_of(config), Bar if is_terminal else Lines)


@pytest.mark.parametrize(("options", "is_shown"), [(["-q"], True), (["-qq"], False), (["--log-cli-level=INFO"], False)])
def test_a_quiet_run_shows_it_on_a_terminal_alone(pytester, options, is_shown):
    config = pytester.parseconfigure(*ALONE, *options)
    assert isinstance(progress_of(config), Lines) == (options[0][:2] == "--")
    config.pluginmanager.get_plugin("terminalreporter").isatty = True
    assert isinstance(progress_of(config), Bar) == is_shown


PLUGIN = '''
import time
import pytest
from pytest_kdmem.plugin.session import session_of


@pytest.fixture
def scored(pytestconfig):
    """Stands for a score: something is loaded, examples are done, and a library prints meanwhile."""
    progress = session_of(pytestconfig).progress
    progress.status("opening student")
    progress.start("student", 4)
    print("a line of a library")
    progress.advance(2)
    progress.note("a note that is longer than any of these terminals is wide, " * 3)
    time.sleep(0.3)
    progress.advance(2)
    progress.finish()
'''
TESTS = "".join(
    f"\n\ndef test_{name}({argument}):\n    pass\n"
    for name, argument in [("first", ""), ("second", "scored"), ("third", ""), ("fourth", "scored"), ("fifth", "")]
)


def screen_of_run(pytester, columns: int, *options: str) -> list[str]:
    """What stands on a terminal of so many columns after a run of pytest, below the header."""
    pytester.makeconftest(PLUGIN)
    pytester.makepyfile(test_release=TESTS)
    command = [sys.executable, "-m", "pytest", "--color=no", *ALONE, *options]
    output = output_on_terminal(command, columns, pytester.path)
    assert "kdmem: opening student" in output
    assert "2/4" in output
    screen = screen_of(output, columns)
    first = next((at for at, line in enumerate(screen) if line.startswith("collected")), -1)
    return [line for line in screen[first + 1 :] if line]


@pytest.mark.parametrize("columns", [60, 120])
def test_what_pytest_has_written_still_stands_when_the_bar_has_gone(pytester, columns):
    lines, summary = screen_of_run(pytester, columns)
    assert lines.split() == ["test_release.py", ".....", "[100%]"]
    assert "5 passed" in summary


def test_a_quiet_run_is_left_as_it_was(pytester):
    lines, summary = screen_of_run(pytester, 80, "-q")
    assert lines.split() == [".....", "[100%]"]
    assert summary.startswith("5 passed")


def test_a_test_keeps_its_name_and_its_outcome(pytester):
    *lines, _ = screen_of_run(pytester, 80, "-v")
    assert [line.split()[:2] for line in lines] == [
        [f"test_release.py::test_{name}", "PASSED"] for name in ("first", "second", "third", "fourth", "fifth")
    ]


def test_what_is_printed_stands_above_the_bar_where_nothing_is_captured(pytester):
    lines = screen_of_run(pytester, 80, "-s")
    assert lines.count("a line of a library") == 2
    assert not [line for line in lines if "kdmem:" in line]
