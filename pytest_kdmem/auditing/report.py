"""The report of a session: the results of its audits, as a value and as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pytest_kdmem.auditing.result import AUDIT, AuditResult, decode_audit
from pytest_kdmem.auditing.schema import Gate
from pytest_kdmem.auditing.students import StudentRow, student_rows
from pytest_kdmem.base.addresses import Place
from pytest_kdmem.base.typed_json import to_json
from pytest_kdmem.base.versioned_file import VersionedFile
from pytest_kdmem.errors import DataError


@dataclass(frozen=True)
class Report:
    """The results of all audits of a session, in the order in which their tests were collected.

    Raises:
        DataError: There is no audit, or two audits have the same name.
    """

    audits: tuple[AuditResult, ...]

    def __post_init__(self) -> None:
        names = [audit.name for audit in self.audits]
        if not names or len(set(names)) < len(names):
            raise DataError(f"Audits of different names were expected in a report; found {names}.")

    @property
    def failed(self) -> tuple[Gate, ...]:
        """The gates of all audits that did not pass."""
        return tuple(gate for audit in self.audits for gate in audit.failed)

    @property
    def students(self) -> tuple[StudentRow, ...]:
        """The table of students, if several were declared."""
        return student_rows(self.audits)

    def to_json(self) -> dict[str, Any]:
        """The result of a single audit itself, or an object that lists several under ``audits``.

        Where several students were declared, their table stands before the audits.
        """
        if len(self.audits) == 1 and not self.students:
            return self.audits[0].to_json()
        students = {"students": to_json(self.students)} if self.students else {}
        return {**REPORT.header, **students, "audits": [audit.to_json() for audit in self.audits]}

    @staticmethod
    def from_json(content: Any) -> Report:
        """Decode what `to_json` returned.

        Raises:
            DataError: The content is no audit report, or one of another schema version.
        """
        return REPORT.value(content)


def read_report(path: Place) -> Report:
    """Read a JSON report at a path or an address.

    Raises:
        DataError: There is no such file, or it holds no audit report.
    """
    return REPORT.read(path)


def _decode(entries: dict[str, Any]) -> Report:
    if "audits" not in entries:
        return Report((decode_audit(entries),))
    audits = entries["audits"]
    if not isinstance(audits, list):
        raise TypeError("audits: list was expected")
    return Report(tuple(map(AuditResult.from_json, audits)))


REPORT = VersionedFile(AUDIT.name, AUDIT.version, _decode, AUDIT.remedy, earlier_versions=AUDIT.earlier_versions)
