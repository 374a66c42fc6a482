"""The result of an audit, as a value and as JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pytest_kdmem.auditing.merge_examples import merged_distributions, merged_examples
from pytest_kdmem.auditing.merge_rules import (
    any_true,
    audits_own,
    distinct_items,
    earliest,
    first_entries,
    first_given,
    in_sequence,
    last_entries,
    last_figures,
    last_of_models,
    merged_by,
    without_gate,
)
from pytest_kdmem.auditing.ranges import check_ranges
from pytest_kdmem.auditing.schema import (
    DataEntry,
    FurtherInheritance,
    Gate,
    HeldOutEntry,
    InheritanceEntry,
    ModelEntry,
    RiskEntry,
)
from pytest_kdmem.auditing.schema_checks import ConfirmationEntry, MetricChange
from pytest_kdmem.auditing.schema_examples import DistributionsEntry, ExamplesEntry
from pytest_kdmem.auditing.schema_figures import FigureEntry
from pytest_kdmem.base.typed_json import from_json, to_json
from pytest_kdmem.base.versioned_file import VersionedFile
from pytest_kdmem.metrics.estimate import Estimate
from pytest_kdmem.specs.run_card import checked_summary

SCHEMA_VERSION = 2
# Reports of these versions have all that is required, and lack what was added since.
EARLIER_VERSIONS = (1,)


@dataclass(frozen=True)
class AuditResult:
    """The result of one audit, from which every report is rendered.

    The fields with a default are absent from some of the first reports. Each field declares the
    rule by which the parts that several processes hold are merged.

    Attributes:
        created: Date and time, UTC.
        versions: Version of each package that takes part.
        settings: Settings of the run.
        models: Models by role, or by name if they have none.
        training_set: The audit's training set.
        control_set: The audit's control set.
        teacher_set: What only the teacher saw; None of an audit that declares none.
        other_sets: Other sets that models were scored over, by the names of their rates.
        memorization: Memorization rate of each model.
        memorized_examples: Ids of the examples that each model recites.
        ambiguous_examples: Ids of each model's ambiguous examples.
        held_out: Each model on the control set.
        inheritance: Examples that teacher, baseline and student have in common.
        risk: Predicted risk of the training set.
        confirmation: Outcome of the engine checks of each model.
        examples: Single examples.
        distributions: Distributions of scores.
        further_inheritances: What tests compared beside the audit's own three models, in the order in which they did.
        figures: Figures of the families, such as rates by the number of copies.
        metric_changes: Metrics compared with their accepted values.
        gates: Gates of the audit's tests.
        not_run: Node ids of the tests without a gate.
        narrowed: Whether some tests of the audit may have been left out of the run.
        name: Folder, module or class that declares the roles, relative to the root; with the student's name in brackets
            if that is one of several.
        warnings: Warnings for the readers of the report.
        student: Name of the student if the audit is of one of several; empty otherwise.
    """

    created: str = field(metadata=merged_by(earliest))
    versions: dict[str, str] = field(metadata=merged_by(first_entries))
    settings: dict[str, Any] = field(metadata=merged_by(first_entries))
    models: dict[str, ModelEntry] = field(default_factory=dict, metadata=merged_by(last_entries))
    training_set: DataEntry | None = field(default=None, metadata=merged_by(first_given))
    control_set: DataEntry | None = field(default=None, metadata=merged_by(first_given))
    teacher_set: DataEntry | None = field(default=None, metadata=merged_by(first_given) | {"json_default": "left out"})
    other_sets: dict[str, DataEntry] = field(default_factory=dict, metadata=merged_by(last_entries))
    memorization: dict[str, Estimate] = field(default_factory=dict, metadata=merged_by(last_entries))
    memorized_examples: dict[str, tuple[int, ...]] = field(default_factory=dict, metadata=merged_by(last_entries))
    ambiguous_examples: dict[str, tuple[int, ...]] = field(default_factory=dict, metadata=merged_by(last_entries))
    held_out: dict[str, HeldOutEntry] = field(default_factory=dict, metadata=merged_by(last_entries))
    inheritance: InheritanceEntry | None = field(default=None, metadata=merged_by(audits_own))
    risk: RiskEntry | None = field(default=None, metadata=merged_by(audits_own))
    confirmation: dict[str, ConfirmationEntry] = field(default_factory=dict, metadata=merged_by(last_entries))
    examples: ExamplesEntry | None = field(default=None, metadata=merged_by(merged_examples))
    distributions: DistributionsEntry | None = field(default=None, metadata=merged_by(merged_distributions))
    further_inheritances: tuple[FurtherInheritance, ...] = field(
        default=(), metadata=merged_by(last_of_models) | {"json_default": "left out"}
    )
    figures: tuple[FigureEntry, ...] = field(
        default=(), metadata=merged_by(last_figures) | {"json_default": "left out"}
    )
    metric_changes: tuple[MetricChange, ...] = field(default=(), metadata=merged_by(first_given) | {"json": "drift"})
    gates: tuple[Gate, ...] = field(default=(), metadata=merged_by(in_sequence))
    not_run: tuple[str, ...] = field(default=(), metadata=merged_by(without_gate))
    narrowed: bool = field(default=False, metadata=merged_by(any_true))
    name: str = field(default="", metadata=merged_by(first_given))
    warnings: tuple[str, ...] = field(default=(), metadata=merged_by(distinct_items))
    student: str = field(default="", metadata=merged_by(first_given) | {"json_default": "left out"})

    @property
    def failed(self) -> tuple[Gate, ...]:
        """The gates that did not pass."""
        return tuple(gate for gate in self.gates if gate.outcome != "pass")

    def to_json(self) -> dict[str, Any]:
        return {**AUDIT.header, **to_json(self)}

    @staticmethod
    def from_json(content: Any) -> AuditResult:
        """Decode what `to_json` returned.

        Raises:
            DataError: The content is no audit report, or one of another schema version.
        """
        return AUDIT.value(content)


# Entries that the first reports have, too, although their fields have defaults.
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
    check_ranges(result)
    return result


AUDIT = VersionedFile(
    "An audit report",
    SCHEMA_VERSION,
    decode_audit,
    "write it again by an audit with this pytest-kdmem",
    earlier_versions=EARLIER_VERSIONS,
)
