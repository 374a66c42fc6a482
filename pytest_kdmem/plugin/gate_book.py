"""The gates that the tests of this process held, made of what they compared and how they ended."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import pytest

from pytest_kdmem.plugin.audit_scope import scope_of
from pytest_kdmem.plugin.collection import is_audit

if TYPE_CHECKING:
    from pytest_kdmem.auditing.audit import Audit
    from pytest_kdmem.auditing.schema import Gate
    from pytest_kdmem.metrics.recorder import Place, Recorded, Recorder


class GateBook:
    """Records comparisons from the start of a session of audits to its end, and turns each into a gate.

    Attributes:
        gates: Gates by the name of their audit.
    """

    def __init__(self) -> None:
        self.gates: dict[str, list[Gate]] = {}
        self._recorder: Recorder | None = None
        self._test: pytest.Item | None = None
        self._records: list[Recorded] = []  # of that test, since its last report

    def open(self, config: pytest.Config) -> None:
        """Record every comparison from now on, until the run ends."""
        from pytest_kdmem.metrics.recorder import close_recorder, current_recorder, open_recorder

        earlier, recorder = current_recorder(), open_recorder()
        self._recorder = recorder
        config.add_cleanup(lambda: close_recorder(recorder, earlier))

    def start_test(self, item: pytest.Item) -> None:
        """Record what is compared from now on as the test's, if it is one of an audit."""
        self._test, self._records = item, []
        if self._recorder is None or not is_audit(item):
            return
        self._recorder.of_test, self._recorder.places = self._records, {}
        self._forget_attempt(item)

    def end_test(self, item: pytest.Item) -> None:
        """Record what is compared from now on as that of no test."""
        if item is self._test and self._recorder is not None:
            self._recorder.of_test = None

    def conclude(
        self, item: pytest.Item, report: pytest.TestReport, call: pytest.CallInfo[None], audit: Audit | None
    ) -> None:
        """Turn what a test compared since its last report into gates, and fail it if one of them does not hold."""
        from pytest_kdmem.auditing.own_figures import refuse_foreign

        records = self._records if item is self._test else []
        records += self._recorder.take_refusals() if self._recorder is not None else []
        if call.when == "call" or report.failed or (call.when == "teardown" and records):
            self._record(item, refuse_foreign(records, audit), report, call)
            records.clear()
        if call.when == "teardown" and self._recorder is not None:
            self._record_not_made(item, self._recorder.places.get(str(item.path), ()))

    def close(self, audit_names: dict[str, str]) -> None:
        """Add a gate that does not pass for each comparison outside of the audits' tests that does not hold.

        Args:
            audit_names: Name of the audit of each test, by node id.
        """
        from pytest_kdmem.plugin.gates import stray_gates

        if self._recorder is not None and audit_names:
            nodeid, audit = next(iter(audit_names.items()))
            entries = [*self._recorder.outside, *self._recorder.take_refusals()]
            self.gates.setdefault(audit, []).extend(stray_gates(entries, nodeid))

    def _forget_attempt(self, item: pytest.Item) -> None:
        """Drop the gates of an earlier attempt of a test that is run again, but for comparisons that did not hold."""
        from pytest_kdmem.plugin.gates import is_unheld

        for audit, gates in self.gates.items():
            self.gates[audit] = [gate for gate in gates if gate.nodeid != item.nodeid or is_unheld(gate)]
        item.user_properties[:] = [each for each in item.user_properties if not each[0].startswith("kdmem_")]

    def _record_not_made(self, item: pytest.Item, made: Collection[Place]) -> None:
        """Add what a test that passed does not hold, though it is written there."""
        from pytest_kdmem.plugin.gates import gates_not_made

        audit_gates = self.gates.get(scope_of(item).audit, [])
        outcomes = {gate.outcome for gate in audit_gates if gate.nodeid == item.nodeid}
        if outcomes == {"pass"}:
            audit_gates += gates_not_made(item, made)

    def _record(
        self,
        item: pytest.Item,
        records: list[Recorded],
        report: pytest.TestReport,
        call: pytest.CallInfo[None],
    ) -> None:
        from pytest_kdmem.plugin.gates import fail_unheld, gates_of, repeats
        from pytest_kdmem.plugin.tracebacks import shorten
        from pytest_kdmem.report.junit import gate_properties

        fail_unheld(report, records)
        audit_gates = self.gates.setdefault(scope_of(item).audit, [])
        earlier = [gate for gate in audit_gates if gate.nodeid == item.nodeid]
        gates = gates_of(item, records, report, call, has_gates=bool(earlier))
        audit_gates += [gate for gate in gates if not repeats(gate, earlier)]
        item.user_properties += [named_value for gate in gates for named_value in gate_properties(gate)]  # of JUnit
        shorten(item, report, call.excinfo, gates)
