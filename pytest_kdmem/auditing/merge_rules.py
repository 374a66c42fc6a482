"""Rules that merge one field of an audit's result over the parts that several processes hold.

A rule takes the values of the field, one for each part, and the parts themselves. `AuditResult` declares the rule of
each field beside the field.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any, Protocol

from pytest_kdmem.auditing.schema import (
    DataEntry,
    FurtherInheritance,
    Gate,
    InheritanceEntry,
    ModelEntry,
    RiskEntry,
)
from pytest_kdmem.auditing.schema_figures import FigureEntry, in_order, with_sets_named
from pytest_kdmem.specs.roles import MODEL_ROLES


class Part(Protocol):
    """The fields of a part that rules read beside the field that they merge."""

    @property
    def models(self) -> Mapping[str, ModelEntry]: ...
    @property
    def training_set(self) -> DataEntry | None: ...
    @property
    def gates(self) -> Sequence[Gate]: ...


Rule = Callable[[Sequence[Any], Sequence[Part]], Any]


def merged_by(rule: Rule) -> dict[str, Any]:
    """Metadata of a field that is merged by a rule."""
    return {"merge": rule}


def earliest(values: Sequence[Any], parts: Sequence[Part]) -> Any:
    return min(values)


def first_given(values: Sequence[Any], parts: Sequence[Part]) -> Any:
    """The first value that is not empty; the first one if all are."""
    return next((value for value in values if value), values[0])


def any_true(values: Sequence[bool], parts: Sequence[Part]) -> bool:
    return any(values)


def first_entries(values: Sequence[Mapping[str, Any]], parts: Sequence[Part]) -> dict[str, Any]:
    """All entries; of entries with the same key, the one of the first part."""
    return {key: value for entries in reversed(values) for key, value in entries.items()}


def last_entries(values: Sequence[Mapping[str, Any]], parts: Sequence[Part]) -> dict[str, Any]:
    """All entries; of entries with the same key, the one of the last part."""
    return {key: value for entries in values for key, value in entries.items()}


def last_figures(values: Sequence[Sequence[FigureEntry]], parts: Sequence[Part]) -> tuple[FigureEntry, ...]:
    """All figures; of figures with the same family, subject and label, the one of the last part.

    A part names the control set, or the manifest of canaries, where it knows of several. So labels are written anew
    once those of all parts are known.
    """
    figures = with_sets_named(chain.from_iterable(values))
    return in_order({figure.key: figure for figure in figures}.values())


def last_of_models(
    values: Sequence[Sequence[FurtherInheritance]], parts: Sequence[Part]
) -> tuple[FurtherInheritance, ...]:
    """All comparisons; of those of the same three models, the one of the last part."""
    merged = {(each.teacher, each.baseline, each.student): each for each in chain.from_iterable(values)}
    return tuple(merged.values())


def in_sequence(values: Sequence[Sequence[Any]], parts: Sequence[Part]) -> tuple[Any, ...]:
    """The items of all parts, one part after another."""
    return tuple(chain.from_iterable(values))


def distinct_items(values: Sequence[Sequence[Any]], parts: Sequence[Part]) -> tuple[Any, ...]:
    """The items of all parts, each once."""
    return tuple(dict.fromkeys(chain.from_iterable(values)))


def without_gate(values: Sequence[Sequence[str]], parts: Sequence[Part]) -> tuple[str, ...]:
    """Node ids of tests that ran in no part; a test that ran has a gate."""
    with_gate = {gate.nodeid for part in parts for gate in part.gates}
    return tuple(nodeid for nodeid in distinct_items(values, parts) if nodeid not in with_gate)


def audits_own(
    values: Sequence[InheritanceEntry | RiskEntry | None], parts: Sequence[Part]
) -> InheritanceEntry | RiskEntry | None:
    """The first entry for the audit's own models and training set, or else the first entry.

    Tests may compare other models as well, and each part knows only what its own tests compared.
    """
    digests = {role: model.digest for part in parts for role, model in part.models.items()}
    training_sets = [part.training_set.digest for part in parts if part.training_set is not None]
    if training_sets:
        digests["training set"] = training_sets[0]
    entries = [entry for entry in values if entry is not None]
    return next((entry for entry in entries if _is_measured_on(entry, digests)), next(iter(entries), None))


def _is_measured_on(entry: InheritanceEntry | RiskEntry, digests: Mapping[str, str]) -> bool:
    measured_on = dict(entry.comparable_on)
    if isinstance(entry, InheritanceEntry):
        measured_on["student"] = entry.model_digest
    names = measured_on.keys() & {*MODEL_ROLES, "training set"}
    return all(digests.get(name) == measured_on[name] for name in names)
