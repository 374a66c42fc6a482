"""AuditResult ↔ JSON: the record of an audit, of which every report is a pure function."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from reprlib import repr as short
from typing import Any, Literal

from pytest_kdmem.errors import DataError
from pytest_kdmem.estimate import Estimate, Operator, estimate_from_json, from_json_number, to_json_number
from pytest_kdmem.run_card import checked_summary
from pytest_kdmem.verdict import Outcome

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class ModelEntry:
    """A model, and what gave its verdicts: engine, device, dtype; ambiguous within ``tolerance`` logits.

    ``run`` is how it was made, where a run card tells (`run_card.RunCard.summary`).
    """

    source: str
    revision: str | None
    digest: str
    parameters: int
    architecture: str
    engine: str
    device: str
    dtype: str
    tolerance: float
    run: dict[str, Any] | None = None


@dataclass(frozen=True)
class DataEntry:
    """A training or control set; ``distinct`` counts what rates are taken over.

    ``left_out`` are documents below the set's own least length, which are no examples of it.
    """

    source: str
    digest: str
    examples: int
    distinct: int
    too_short: int
    duplicates: int
    exhaustive: bool
    left_out: int = 0


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
class RiskEntry:
    """What a student to come is predicted to memorize of the training set.

    Attributes:
        examples: ids at risk, highest risk first.
        exact_duplicates: of them, those that stand in the training set more than once.
        near_duplicates: of the others, those that are nearly another example; None of both over a sample.
        threshold: the probability at which an example is at risk.
        recall: share of what is memorized that lies at or above it, by trials on held-out examples.
        labels: who memorized the ``positives`` among the ``fitted_to`` examples that the predictor learned from.
        predictor: its digest.
        quality: its trials' figures by name, mean and standard deviation each.
    """

    share_at_risk: Estimate
    expected_memorized: Estimate
    examples: tuple[int, ...]
    exact_duplicates: int | None
    near_duplicates: int | None
    threshold: float
    recall: float
    features: tuple[str, ...]
    labels: str
    fitted_to: int
    positives: int
    predictor: str
    quality: dict[str, tuple[float, ...]]


@dataclass(frozen=True)
class WitnessEntry:
    """An engine, asked in one ``way``: its own pass (scored) or its greedy decoding (decoded)."""

    engine: str
    way: str
    checked: int


@dataclass(frozen=True)
class ConfirmationEntry:
    """Verdicts of a run against witnesses; each disagreement tells whose it is.

    ``ambiguous`` examples there are, and ``ambiguous_checked`` were put to the witnesses; tolerances are in logits.
    Reports of before there were witnesses tell of one decoding, and nothing of what is None here.
    """

    checked: int
    ambiguous_checked: int
    disagreements: tuple[dict[str, Any], ...]
    witnesses: tuple[WitnessEntry, ...] = ()
    ambiguous: int | None = None
    claimed_tolerance: float | None = None
    implied_tolerance: float | None = None
    greatest_difference: float | None = None


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
    """One audit. ``name`` is where its roles are declared, relative to the root; ``warnings`` are for its readers."""

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
    risk: RiskEntry | None = None
    confirmation: dict[str, ConfirmationEntry] = field(default_factory=dict)
    gates: tuple[Gate, ...] = ()
    not_run: tuple[str, ...] = ()
    name: str = ""
    warnings: tuple[str, ...] = ()

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
        check_version(content)
        try:
            inheritance, training, control = (content[key] for key in ("inheritance", "training_set", "control_set"))
            return AuditResult(
                created=content["created"],
                versions=content["versions"],
                settings=content["settings"],
                models={role: _model_entry(entry) for role, entry in content["models"].items()},
                training_set=DataEntry(**training) if training else None,
                control_set=DataEntry(**control) if control else None,
                memorization={role: estimate_from_json(entry) for role, entry in content["memorization"].items()},
                memorized_examples={role: tuple(ids) for role, ids in content["memorized_examples"].items()},
                held_out={role: HeldOutEntry(**_revived(entry)) for role, entry in content["held_out"].items()},
                inheritance=InheritanceEntry(**_revived(inheritance)) if inheritance else None,
                risk=_risk_entry(content["risk"]) if content.get("risk") else None,
                confirmation={role: _confirmation_entry(entry) for role, entry in content["confirmation"].items()},
                gates=tuple(Gate(**_revived(gate)) for gate in content["gates"]),
                not_run=tuple(content["not_run"]),
                name=content.get("name", ""),
                warnings=tuple(content.get("warnings", ())),
            )
        except (KeyError, TypeError, AttributeError, ValueError, OverflowError, RecursionError) as error:
            raise DataError(
                f"An audit report was expected, and a part of it is missing or misnamed ({error})."
            ) from None


def check_version(content: Mapping[str, Any]) -> None:
    """Raise DataError for a report of another schema version than this package writes."""
    version = content.get("schema_version")
    if version != SCHEMA_VERSION:
        raise DataError(f"An audit report of schema_version {SCHEMA_VERSION} was expected; found {short(version)}.")


def _model_entry(content: Mapping[str, Any]) -> ModelEntry:
    run = content.get("run")
    return ModelEntry(**{**content, "run": checked_summary(run) if run is not None else None})


def _risk_entry(content: Mapping[str, Any]) -> RiskEntry:
    quality = {name: tuple(map(float, figure)) for name, figure in content["quality"].items()}
    return RiskEntry(**{**_revived(content), "quality": quality})


def _confirmation_entry(content: Mapping[str, Any]) -> ConfirmationEntry:
    tolerances = ("claimed_tolerance", "implied_tolerance", "greatest_difference")
    known = {name: float(content[name]) for name in tolerances if content.get(name) is not None}
    witnesses = tuple(WitnessEntry(**one) for one in content.get("witnesses", ()))
    disagreements = tuple(dict(one) for one in content["disagreements"])
    return ConfirmationEntry(**{**content, **known, "witnesses": witnesses, "disagreements": disagreements})


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
