"""Progress is a bar on a terminal, lines in a log, and nothing in a quiet run."""

from __future__ import annotations

import pytest

from pytest_kdmem.base.progress import NO_PROGRESS, Bar, Lines
from pytest_kdmem.plugin.progress import progress_of
from tests.audit_project import ALONE


@pytest.mark.parametrize("is_terminal", [False, True])
def test_progress_fits_where_it_is_shown(pytester, is_terminal):
    config = pytester.parseconfigure(*ALONE)
    config.pluginmanager.get_plugin("terminalreporter").isatty = is_terminal
    assert isinstance(progress_of(config), Bar if is_terminal else Lines)


def test_a_quiet_run_shows_none(pytester):
    assert progress_of(pytester.parseconfigure(*ALONE, "-q")) is NO_PROGRESS


def test_a_worker_shows_none(pytester):
    config = pytester.parseconfigure(*ALONE)
    config.workerinput = {}
    assert progress_of(config) is NO_PROGRESS
