"""Which audit each test of a run belongs to, whether the test was run, left out or never collected."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_kdmem.plugin.audit_scope import AuditScope


class AuditNames:
    """Names the audits of a run.

    Attributes:
        by_nodeid: Name of the audit of each test, by node id, in the order of collection.
    """

    def __init__(self) -> None:
        self.by_nodeid: dict[str, str] = {}
        self._scopes: dict[str, AuditScope] = {}  # by name of the audit

    def add(self, tests: Iterable[pytest.Item]) -> None:
        """Add tests that were collected."""
        from pytest_kdmem.plugin.audit_scope import scope_of

        for test in tests:
            scope = scope_of(test)
            self.by_nodeid[test.nodeid] = scope.audit
            self._scopes[scope.audit] = scope

    def add_lost(self, config: pytest.Config) -> None:
        """Add tests that stand in the audits' files and were never collected.

        Where several students are declared, the first has them: it is not known whom they are about.
        """
        from pytest_kdmem.plugin.completeness import lost_tests

        audits = {scope.place: name for name, scope in reversed(self._scopes.items())}
        self.by_nodeid |= {nodeid: audits[place] for nodeid, place in lost_tests(config, audits).items()}

    def student_of(self, audit: str) -> str:
        """Return the name of an audit's student if that is one of several; empty otherwise."""
        return self._scopes[audit].student if audit in self._scopes else ""
