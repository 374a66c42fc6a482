"""AuditResult ↔ JSON: the record of an audit, of which every report is a pure function."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pytest_kdmem.audit.schema import (
    ConfirmationEntry,
    DataEntry,
    DistributionsEntry,
    ExamplesEntry,
    Gate,
    HeldOutEntry,
    InheritanceEntry,
    MetricChange,
    ModelEntry,
    RiskEntry,
)
from pytest_kdmem.base.typed_json import from_json, to_json
from pytest_kdmem.base.versioned_file import VersionedFile
from pytest_kdmem.metrics.estimate import Estimate
from pytest_kdmem.specs.run_card import checked_summary

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class AuditResult:
    """One audit. ``name`` is where its roles are declared, relative to the root; ``warnings`` are for its readers.

    ``other_sets`` are those of rates over another set than the audit's, by the names of the rates. Of an audit that is
    ``narrowed`` some tests were asked for by name, so that it may have others.

    What has a default was not told by the first reports of this schema version.
    """

    created: str
    versions: dict[str, str]
    settings: dict[str, Any]
    models: dict[str, ModelEntry] = field(default_factory=dict)
    training_set: DataEntry | None = None
    control_set: DataEntry | None = None
    other_sets: dict[str, DataEntry] = field(default_factory=dict)
    memorization: dict[str, Estimate] = field(default_factory=dict)
    memorized_examples: dict[str, tuple[int, ...]] = field(default_factory=dict)
    ambiguous_examples: dict[str, tuple[int, ...]] = field(default_factory=dict)
    held_out: dict[str, HeldOutEntry] = field(default_factory=dict)
    inheritance: InheritanceEntry | None = None
    risk: RiskEntry | None = None
    confirmation: dict[str, ConfirmationEntry] = field(default_factory=dict)
    examples: ExamplesEntry | None = None
    distributions: DistributionsEntry | None = None
    metric_changes: tuple[MetricChange, ...] = field(default=(), metadata={"json": "drift"})
    gates: tuple[Gate, ...] = ()
    not_run: tuple[str, ...] = ()
    narrowed: bool = False
    name: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def failed(self) -> tuple[Gate, ...]:
        """Gates that do not let the model ship."""
        return tuple(gate for gate in self.gates if gate.outcome != "pass")

    def to_json(self) -> dict[str, Any]:
        return {**AUDIT.header, **to_json(self)}

    @staticmethod
    def from_json(content: Any) -> AuditResult:
        """Read what `to_json` gave.

        Raises:
            DataError: it is of another schema version, or no audit report.
        """
        return AUDIT.value(content)


# Entries that the first reports of this schema version have, too, although their fields have defaults.
REQUIRED = (
    "models", "training_set", "control_set", "memorization", "memorized_examples", "held_out", "inheritance",
    "confirmation", "gates", "not_run",
)  # fmt: skip


def decode_audit(entries: dict[str, Any]) -> AuditResult:
    """Decode the entries of a report of one audit.

    Raises:
        KeyError, TypeError, ValueError, DataError: An entry is missing, unknown or of another kind.
    """
    for name in REQUIRED:
        entries[name]
    result = from_json(AuditResult, entries)
    for model in result.models.values():
        if model.run is not None:
            checked_summary(model.run)
    return result


AUDIT = VersionedFile(
    "An audit report", SCHEMA_VERSION, decode_audit, "write it again by an audit with this pytest-kdmem"
)
