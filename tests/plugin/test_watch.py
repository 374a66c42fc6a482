"""What pytest collected and what failed is kept, whatever other plugins make of it."""

from __future__ import annotations

from pytest_kdmem.plugin.watch import start_watch, watch_of
from tests.audit_project import ALONE

NOTE = """
    import json
    from pathlib import Path

    from pytest_kdmem.plugin.watch import watch_of

    def pytest_collection_modifyitems(items):
        items[:] = [item for item in items if item.name != "test_dropped"]

    def pytest_unconfigure(config):
        watch = watch_of(config)
        dropped = [item.name for item in watch.dropped(config.kept)]
        uncollected = [report.nodeid for report in watch.uncollected]
        Path("kept.json").write_text(json.dumps([dropped, uncollected, watch.failed, watch.has_collected]))

    def pytest_collection_finish(session):
        session.config.kept = list(session.items)
"""


def test_tests_that_were_dropped_that_broke_and_that_failed_are_kept(pytester, run_pytest):
    pytester.makeconftest(NOTE)
    pytester.makepyfile(
        test_a="def test_passes(): pass\ndef test_fails(): assert 0\ndef test_dropped(): pass", test_b="import gone"
    )
    run_pytest("--continue-on-collection-errors").assert_outcomes(passed=1, failed=1, errors=1)
    assert (pytester.path / "kept.json").read_text() == (
        '[["test_dropped"], ["test_b.py"], ["test_a.py::test_fails"], true]'
    )


def test_a_run_has_one_watch(pytester):
    config = pytester.parseconfig(*ALONE)
    assert start_watch(config) is start_watch(config) is watch_of(config)
