"""The parts that several processes hold of one audit → the audit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, TypeVar

from pytest_kdmem.audit.result import AuditResult
from pytest_kdmem.audit.schema import (
    DistributionsEntry,
    ExamplesEntry,
    InheritanceEntry,
    ModelColumns,
    RiskEntry,
)
from pytest_kdmem.specs.roles import MODEL_ROLES

Taken = TypeVar("Taken", InheritanceEntry | None, RiskEntry | None)


def merge(parts: Sequence[AuditResult]) -> AuditResult:
    """One result of the parts that several processes hold of an audit; at least one."""
    merged = parts[0]
    for part in parts[1:]:
        merged = AuditResult(
            name=merged.name,
            created=min(merged.created, part.created),
            versions=part.versions | merged.versions,
            settings=part.settings | merged.settings,
            models=merged.models | part.models,
            training_set=merged.training_set or part.training_set,
            control_set=merged.control_set or part.control_set,
            other_sets=merged.other_sets | part.other_sets,
            memorization=merged.memorization | part.memorization,
            memorized_examples=merged.memorized_examples | part.memorized_examples,
            ambiguous_examples=merged.ambiguous_examples | part.ambiguous_examples,
            held_out=merged.held_out | part.held_out,
            inheritance=_own(merged.inheritance, part.inheritance, merged, part),
            risk=_own(merged.risk, part.risk, merged, part),
            confirmation=merged.confirmation | part.confirmation,
            examples=merged_examples([one for one in (merged.examples, part.examples) if one]),
            distributions=merged_distributions([one for one in (merged.distributions, part.distributions) if one]),
            metric_changes=merged.metric_changes or part.metric_changes,
            gates=merged.gates + part.gates,
            narrowed=merged.narrowed or part.narrowed,
            warnings=tuple(dict.fromkeys(merged.warnings + part.warnings)),
        )
    return merged


def _own(first: Taken, second: Taken, *parts: AuditResult) -> Taken:
    """That which was taken of the audit's own models and set, where two parts compared others as well."""
    known = {role: model.digest for part in parts for role, model in part.models.items()}
    sets = [part.training_set.digest for part in parts if part.training_set is not None]
    known |= {"training set": sets[0]} if sets else {}

    def is_own(entry: InheritanceEntry | RiskEntry | None) -> bool:
        if entry is None:
            return False
        told = entry.comparable_on | ({"student": entry.model_digest} if isinstance(entry, InheritanceEntry) else {})
        return all(known.get(name) == digest for name, digest in told.items() if name in (*MODEL_ROLES, "training set"))

    return second if first is None or (is_own(second) and not is_own(first)) else first


def merged_examples(parts: Sequence[ExamplesEntry]) -> ExamplesEntry | None:
    """The rows of all parts, over the same examples; what a part does not list, its models do not recite."""
    if len(parts) < 2:
        return parts[0] if parts else None
    places = [{example_id: at for at, example_id in enumerate(part.example_id)} for part in parts]
    ids = sorted(set().union(*places))
    rows = [[(part, place[one]) for part, place in zip(parts, places, strict=True) if one in place] for one in ids]
    first = [known[0] for known in rows]
    models: dict[str, ModelColumns] = {}
    for part, place in zip(parts, places, strict=True):
        for role, columns in part.models.items():
            models.setdefault(role, _spread(columns, [place.get(one) for one in ids]))
    texts = all(part.prefix for part in parts)
    return ExamplesEntry(
        example_id=tuple(ids),
        digest=tuple(part.digest[at] for part, at in first),
        copies=tuple(part.copies[at] for part, at in first),
        zlib_bytes=tuple(part.zlib_bytes[at] for part, at in first),
        risk=tuple(next((part.risk[at] for part, at in known if part.risk[at] is not None), None) for known in rows),
        models=models,
        prefix=tuple(part.prefix[at] for part, at in first) if texts else (),
        suffix=tuple(part.suffix[at] for part, at in first) if texts else (),
    )


def merged_distributions(parts: Sequence[DistributionsEntry]) -> DistributionsEntry | None:
    """Those of all models; edges are the same for all."""
    if not parts:
        return None
    models = {role: model for part in reversed(parts) for role, model in part.models.items()}
    return DistributionsEntry(parts[0].edges, models)


def _spread(columns: ModelColumns, places: Sequence[int | None]) -> ModelColumns:
    """A model's columns over more rows; of those added it is known that the model does not recite them."""
    unknown = {"memorized": 0, "ambiguous": 0}
    spread: dict[str, Any] = {
        field.name: tuple(unknown.get(field.name) if at is None else getattr(columns, field.name)[at] for at in places)
        for field in fields(ModelColumns)
    }
    return ModelColumns(**spread)
