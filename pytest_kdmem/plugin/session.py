"""One run of pytest that may hold audits: its settings, its audits and gates, and the report of it all."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_kdmem.plugin.audit_names import AuditNames
from pytest_kdmem.plugin.collection import is_audit
from pytest_kdmem.plugin.gate_book import GateBook
from pytest_kdmem.plugin.settings import Settings, read_settings, remove_reports

if TYPE_CHECKING:
    from pytest_kdmem.auditing.audit import Audit
    from pytest_kdmem.auditing.report import Report
    from pytest_kdmem.auditing.result import AuditResult
    from pytest_kdmem.base.progress import Progress
    from pytest_kdmem.plugin.fixture_cache import FixtureCache
    from pytest_kdmem.plugin.reporting import Published
    from pytest_kdmem.plugin.student import Student


class AuditSession:
    """Holds everything that one run of pytest knows of its audits; the hooks delegate to it.

    Attributes:
        config: Configuration of the run.
        running_test: Test that is being set up, runs or is torn down.
        deselected: Audits that were collected and left out.
        dropped: Audits that were collected, and that a hook removed without a word.
        has_started: Whether there are audits in this run.
        audits: Audits that were opened, by name.
        students: Students that were declared, by the fixture's definition; by None those of the settings.
        published: The report and what became of it, once it was written.
    """

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.running_test: pytest.Item | None = None
        self.deselected: list[pytest.Item] = []
        self.dropped: list[pytest.Item] = []
        self.has_started = False
        self.audits: dict[str, Audit] = {}
        self.students: dict[object, Sequence[Student]] = {}
        self.published: Published | None = None
        self._book = GateBook()
        self._names = AuditNames()
        self._worker_results: list[AuditResult] = []
        self._used_settings: set[str] = set()  # of those that name what is measured, in any process
        self._error = ""  # for which no audit of this run may be held
        self._is_narrowed = False

    @cached_property
    def settings(self) -> Settings:
        """The settings of this run."""
        return read_settings(self.config)

    @cached_property
    def cache_dir(self) -> Path:
        """Folder of the scores: the cache, or else one that all processes of this run share and that goes with it."""
        if not self.settings["no_cache"]:
            return self.settings.cache_dir
        scratch = getattr(self.config, "workerinput", {}).get("kdmem_scratch")
        if scratch is None:
            scratch = tempfile.mkdtemp(prefix="kdmem-")
            self.config.add_cleanup(lambda: shutil.rmtree(scratch, ignore_errors=True))
        return Path(scratch)

    @cached_property
    def progress(self) -> Progress:
        """Shows what is loaded, scored and trained."""
        from pytest_kdmem.plugin.progress import progress_of

        return progress_of(self.config)

    @cached_property
    def fixtures(self) -> FixtureCache:
        """Fixtures that were set up for several tests."""
        from pytest_kdmem.plugin.fixture_cache import FixtureCache

        return FixtureCache()

    @property
    def shard(self) -> str:
        """The part that this run scores, as it was given; "" if it scores everything."""
        return self.settings["shard"] or ""

    @property
    def is_dry_run(self) -> bool:
        """Whether this run only tells what it would take."""
        return self.settings["dry_run"] or False

    @property
    def less(self) -> str:
        """What is run instead of whole audits, so that no gate is held, in words; "" if they are whole."""
        from pytest_kdmem.plugin.dry_run import WORDS

        return WORDS if self.is_dry_run else f"part {self.shard}" if self.shard else ""

    @property
    def is_worker(self) -> bool:
        """Whether this is a process of pytest-xdist that runs tests for another one."""
        return hasattr(self.config, "workerinput")

    def start(self, session: pytest.Session) -> None:
        """Check a session of audits as a whole.

        Raises:
            pytest.UsageError: It cannot be held.
        """
        from pytest_kdmem.base.import_notices import leave_out_notices
        from pytest_kdmem.plugin.audit_scope import session_error
        from pytest_kdmem.plugin.completeness import is_narrowed
        from pytest_kdmem.plugin.dry_run import dry_run_error
        from pytest_kdmem.plugin.environment import environment_error
        from pytest_kdmem.plugin.sharding import shard_error
        from pytest_kdmem.plugin.validation import update_error

        self.has_started, self._is_narrowed = True, is_narrowed(self.config)
        leave_out_notices()  # whichever library is the first to import theirs
        self._book.open(self.config)
        if not self.is_dry_run:
            remove_reports(self.settings)
        self._error = (
            environment_error(self.config, session.items)
            or shard_error(self.config, self.settings)
            or update_error(self.config, self.settings)
            or dry_run_error(self.config, self.settings)
            or session_error(session.items, self.settings)
        )
        # pytest-xdist shows no error that ends a worker here, so there each audit raises it.
        if self._error and not self.is_worker:
            from pytest_kdmem.plugin.usage import usage_error

            raise usage_error(self._error)

    def start_test(self, item: pytest.Item) -> None:
        """Begin a test: nothing of another audit is left to it, and the comparisons of an audit are recorded.

        Raises:
            SpecError: The session or the test is no audit that can be held.
        """
        self.fixtures.tear_down_stale(item)
        self.running_test = item
        self._book.start_test(item)
        if not is_audit(item):
            return
        from pytest_kdmem.errors import SpecError
        from pytest_kdmem.plugin.audit_scope import check_declared

        if self._error:
            raise SpecError(self._error)
        check_declared(item)

    def note_fixture_setup(self, definition: pytest.FixtureDef[Any], request: pytest.FixtureRequest) -> None:
        """Keep what a fixture is made of that is about to be set up.

        Raises:
            SpecError: An audit gets it by the request of another test.
        """
        if self.running_test is not None:
            self.fixtures.note_setup(definition, request, self.running_test)

    def end_test(self, item: pytest.Item) -> None:
        """Record comparisons after an audit's test as those of no test."""
        self._book.end_test(item)

    def conclude(self, item: pytest.Item, report: pytest.TestReport, call: pytest.CallInfo[None]) -> None:
        """Turn the outcome of an audit's test into gates, and an error of ours into the one sentence that it is."""
        from pytest_kdmem.plugin.audit_scope import scope_of
        from pytest_kdmem.plugin.sharding import skip_if_scored
        from pytest_kdmem.plugin.tracebacks import render_error

        if self.less and skip_if_scored(item, report, call.excinfo and call.excinfo.value, self.less):
            return
        if call.excinfo is not None:
            render_error(report, call.excinfo)
        self._book.conclude(item, report, call, self.audits.get(scope_of(item).audit))

    def finish(self, session: pytest.Session) -> None:
        """Write the report of all audits, or hand this process's part of it to the one that writes."""
        self._names.add([*filter(is_audit, session.items), *self.deselected, *self.dropped])
        if self.has_started:
            from pytest_kdmem.plugin.unused_settings import used_settings

            self._used_settings |= used_settings(self.audits.values(), filter(is_audit, session.items))
        is_held = self.has_started and not self.less and (self.is_worker or not self._error)
        report = self._assembled_report() if is_held else None
        if self.is_worker:
            output = report and {
                "report": report.to_json(),
                "audit_names": self._names.by_nodeid,
                "used_settings": sorted(self._used_settings),
            }
            self.config.workeroutput["kdmem"] = json.dumps(output, allow_nan=False)  # type: ignore[attr-defined]
        elif report is not None:
            from pytest_kdmem.auditing.own_figures import with_students_compared
            from pytest_kdmem.plugin.reporting import publish
            from pytest_kdmem.plugin.unused_settings import with_unused_settings
            from pytest_kdmem.report.sentences import verdict_sentence

            report = with_students_compared(with_unused_settings(report, self.settings, self._used_settings))
            self.published = publish(report, self.settings, self.config.invocation_params.dir)
            if not self.config.pluginmanager.has_plugin("terminalreporter"):
                sys.stderr.write(f"{verdict_sentence(report)}.\n")
            if self.published.errors:
                session.exitstatus = pytest.ExitCode.USAGE_ERROR
            elif report.failed and session.exitstatus == pytest.ExitCode.OK:  # found at the end, which fails no test
                session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def take_worker_output(self, worker_output: str) -> None:
        """Take over what a worker of pytest-xdist held; it held no gate if its output is ``null``."""
        from pytest_kdmem.auditing.report import Report

        if (output := json.loads(worker_output)) is not None:
            self.has_started = True
            self._worker_results += Report.from_json(output["report"]).audits
            self._names.by_nodeid = output["audit_names"]  # each worker collects all tests
            self._used_settings.update(output["used_settings"])

    def print_summary(self, terminalreporter: Any, status: int) -> None:
        """Print what was audited, or which part was scored; pytest itself would exit with ``status``."""
        if self.is_dry_run:
            from pytest_kdmem.plugin.dry_run import print_forecasts

            if self.has_started:
                print_forecasts(terminalreporter, self.audits.values())
        elif self.shard:
            from pytest_kdmem.plugin.completeness import failed_nodeids
            from pytest_kdmem.plugin.sharding import print_shard_summary

            is_incomplete = bool(failed_nodeids(self.config))
            print_shard_summary(terminalreporter, self.shard, self.cache_dir, is_incomplete=is_incomplete)
        elif self.published is not None:
            from pytest_kdmem.plugin.reporting import print_summary

            print_summary(terminalreporter, self.published, self.config, status)

    def _assembled_report(self) -> Report:
        """Return what this run or its workers audited, with every audit that was collected or stands in its files."""
        from pytest_kdmem.auditing.assemble import assemble_report
        from pytest_kdmem.plugin.completeness import failed_nodeids, uncollected_files

        if not self._worker_results:
            self._names.add_lost(self.config)
            self._book.close(self._names.by_nodeid)
        return assemble_report(
            self._worker_results or list(self._own_results()),
            self._names.by_nodeid,
            failed_nodeids(self.config),
            uncollected=uncollected_files(self.config, self._names.by_nodeid),
            narrowed=self._is_narrowed,
        )

    def _own_results(self) -> Iterator[AuditResult]:
        from pytest_kdmem.auditing.summarize import empty_result

        given = self.settings.given
        for name in dict.fromkeys([*self._names.by_nodeid.values(), *self._book.gates, *self.audits]):
            gates = self._book.gates.get(name, [])
            if (audit := self.audits.get(name)) is not None:
                yield audit.result(given, gates)
            else:
                yield empty_result(given, gates, name, self._names.student_of(name))


SESSION = pytest.StashKey[AuditSession]()


def session_of(config: pytest.Config) -> AuditSession:
    """Return the session of a run of pytest, which begins when it is first asked for."""
    if SESSION not in config.stash:
        config.stash[SESSION] = AuditSession(config)
    return config.stash[SESSION]
