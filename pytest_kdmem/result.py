"""AuditResult ↔ JSON: the record of an audit, of which every report is a pure function."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from pytest_kdmem.errors import DataError
from pytest_kdmem.estimate import Estimate, Operator, estimate_from_json, from_json_number, to_json_number
from pytest_kdmem.verdict import Outcome

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class ModelEntry:
    """A model, and what gave its verdicts: engine, device, dtype; ambiguous within ``tolerance`` logits."""

    source: str
    revision: str | None
    digest: str
    parameters: int
    architecture: str
    engine: str
    device: str
    dtype: str
    tolerance: float


@dataclass(frozen=True)
class DataEntry:
    """A training or control set; ``distinct`` counts what rates are taken over."""

    source: str
    digest: str
    examples: int
    distinct: int
    too_short: int
    duplicates: int
    exhaustive: bool


@dataclass(frozen=True)
class HeldOutEntry:
    """A model on the control set: what is predictable, not memorized."""

    rate: Estimate
    loss: Estimate
    perplexity: float


@dataclass(frozen=True)
class InheritanceEntry:
    cells: dict[str, int]
    inherited: int
    inherited_examples: tuple[int, ...]
    ratio: Estimate
    share: Estimate
    easy: int
    easy_share: Estimate
    reduction: Estimate
    p_value: float


@dataclass(frozen=True)
class ConfirmationEntry:
    """Verdicts of the one pass against real greedy decoding."""

    checked: int
    ambiguous_checked: int
    disagreements: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Gate:
    """One comparison in an audit. ``threshold`` is a number or, against another model, that model's estimate."""

    name: str
    nodeid: str
    metric: str
    estimate: Estimate | None
    operator: Operator | None
    threshold: Estimate | float | None
    outcome: Outcome | Literal["error"]
    reason: str
    next_step: str = ""


@dataclass(frozen=True)
class AuditResult:
    created: str
    versions: dict[str, str]
    settings: dict[str, Any]
    models: dict[str, ModelEntry] = field(default_factory=dict)
    training_set: DataEntry | None = None
    control_set: DataEntry | None = None
    memorization: dict[str, Estimate] = field(default_factory=dict)
    memorized_examples: dict[str, tuple[int, ...]] = field(default_factory=dict)
    held_out: dict[str, HeldOutEntry] = field(default_factory=dict)
    inheritance: InheritanceEntry | None = None
    confirmation: dict[str, ConfirmationEntry] = field(default_factory=dict)
    gates: tuple[Gate, ...] = ()
    not_run: tuple[str, ...] = ()

    @property
    def failed(self) -> tuple[Gate, ...]:
        """Gates that do not let the model ship."""
        return tuple(gate for gate in self.gates if gate.outcome != "pass")

    def to_json(self) -> dict[str, Any]:
        return {"schema_version": SCHEMA_VERSION, **_plain(self)}

    @staticmethod
    def from_json(content: Mapping[str, Any]) -> AuditResult:
        """Read what `to_json` gave.

        Raises:
            DataError: it is of another schema version, or no audit report.
        """
        version = content.get("schema_version")
        if version != SCHEMA_VERSION:
            raise DataError(f"An audit report of schema_version {SCHEMA_VERSION} was expected; found {version!r}.")
        try:
            inheritance, training, control = (content[key] for key in ("inheritance", "training_set", "control_set"))
            return AuditResult(
                created=content["created"],
                versions=content["versions"],
                settings=content["settings"],
                models={role: ModelEntry(**entry) for role, entry in content["models"].items()},
                training_set=DataEntry(**training) if training else None,
                control_set=DataEntry(**control) if control else None,
                memorization={role: estimate_from_json(entry) for role, entry in content["memorization"].items()},
                memorized_examples={role: tuple(ids) for role, ids in content["memorized_examples"].items()},
                held_out={role: HeldOutEntry(**_revived(entry)) for role, entry in content["held_out"].items()},
                inheritance=InheritanceEntry(**_revived(inheritance)) if inheritance else None,
                confirmation={
                    role: ConfirmationEntry(**_revived(entry)) for role, entry in content["confirmation"].items()
                },
                gates=tuple(Gate(**_revived(gate)) for gate in content["gates"]),
                not_run=tuple(content["not_run"]),
            )
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise DataError(
                f"An audit report was expected, and a part of it is missing or misnamed ({error})."
            ) from None


def read_result(path: Path) -> AuditResult:
    """Load a JSON report.

    Raises:
        DataError: there is no such file, or it is no audit report.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"An audit report was expected at {path}, and there is no such file.") from None
    except (ValueError, OSError) as error:
        raise DataError(f"An audit report was expected in {path}, which is no readable JSON ({error}).") from None
    if not isinstance(content, dict):
        raise DataError(f"An audit report was expected in {path}, which holds no JSON object.")
    try:
        return AuditResult.from_json(content)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def with_order(result: AuditResult | None, nodeids: Sequence[str]) -> AuditResult | None:
    """The result with its gates in the order of the audits collected, and those named that were not held."""
    if result is None:
        return None
    place = {nodeid: at for at, nodeid in enumerate(nodeids)}
    gates = sorted(result.gates, key=lambda gate: place.get(gate.nodeid, len(place)))
    held = {gate.nodeid for gate in gates}
    return replace(result, gates=tuple(gates), not_run=tuple(nodeid for nodeid in nodeids if nodeid not in held))


def merge(results: Iterable[AuditResult]) -> AuditResult | None:
    """One result of several processes' parts of an audit; None of none."""
    merged: AuditResult | None = None
    for part in results:
        if merged is None:
            merged = part
            continue
        merged = AuditResult(
            created=min(merged.created, part.created),
            versions=part.versions | merged.versions,
            settings=part.settings | merged.settings,
            models=merged.models | part.models,
            training_set=merged.training_set or part.training_set,
            control_set=merged.control_set or part.control_set,
            memorization=merged.memorization | part.memorization,
            memorized_examples=merged.memorized_examples | part.memorized_examples,
            held_out=merged.held_out | part.held_out,
            inheritance=merged.inheritance or part.inheritance,
            confirmation=merged.confirmation | part.confirmation,
            gates=merged.gates + part.gates,
        )
    return merged


def _plain(value: Any) -> Any:
    """Dataclasses to dictionaries, all the way down, with estimates in their own form."""
    if isinstance(value, Estimate):
        return value.to_json()
    if hasattr(value, "__dataclass_fields__"):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return to_json_number(value)


def _revived(content: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of an entry, with nested estimates and tuples restored."""
    revived: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, dict) and "confidence" in value:
            value = estimate_from_json(value)
        elif isinstance(value, list):
            value = tuple(value)
        elif key in ("perplexity", "p_value") or (key == "threshold" and value is not None):
            value = from_json_number(value)
        revived[key] = value
    return revived
