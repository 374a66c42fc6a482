"""Summarizes models, sets and metrics as the entries of an audit's result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, fields, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow.compute as pc

from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.auditing.schema import DataEntry, Gate, InheritanceEntry, ModelEntry, RiskEntry, ScreeningEntry
from pytest_kdmem.auditing.schema_checks import ConfirmationEntry, EngineCheckEntry
from pytest_kdmem.base.digests import digest_of
from pytest_kdmem.base.text import last_part
from pytest_kdmem.base.typed_json import to_json
from pytest_kdmem.base.versions import installed_version
from pytest_kdmem.corpus.strata_of import stratified_phrase
from pytest_kdmem.errors.harmless import named
from pytest_kdmem.metrics.inheritance import Inheritance
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.risk.predicted import PredictedRisk
from pytest_kdmem.scoring.confirmation import Confirmation
from pytest_kdmem.scoring.table import ScoreTable, digests_in_training_set
from pytest_kdmem.scoring.too_short import count_too_short
from pytest_kdmem.specs.run_card import RunCard

PACKAGES = ("pytest-kdmem", "torch", "transformers", "tokenizers")
# Arguments of a model that say how it is loaded, and that no digest of its files tells.
LOADED_BY = ("base", "trust_remote_code")
# Edges of the histogram of risks between 0 and 1, five to a power of ten from 0.0001 on.
RISK_EDGES = [0.0, *(10 ** (step / 5) for step in range(-20, 1))]


def empty_result(settings: Mapping[str, Any], gates: Sequence[Gate], name: str = "", student: str = "") -> AuditResult:
    """The result of an audit that scored nothing."""
    return AuditResult(
        name=name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        versions={package: installed_version(package) for package in PACKAGES},
        settings=dict(settings),
        gates=tuple(gates),
        student=student,
    )


def model_entry(scores: ScoreTable, card: RunCard | None) -> ModelEntry:
    """The entry of the model that was scored, with its run card if it has one."""
    model, checkpoint, numerics = scores.model, scores.checkpoint, scores.numerics
    return ModelEntry(
        source=model.source,
        revision=model.revision,
        digest=checkpoint.digest,
        parameters=checkpoint.parameters,
        architecture=checkpoint.architecture,
        engine=numerics.engine,
        device=numerics.device,
        dtype=numerics.dtype,
        tolerance=scores.tolerance,
        run=card.summary() if card is not None else None,
        screening=_screening_entry(scores),
        base=last_part(checkpoint.base_source) if checkpoint.base_source else None,
        quantization=numerics.quantization,
        declared={name: value for name in LOADED_BY if (value := getattr(model, name))},
    )


def _screening_entry(scores: ScoreTable) -> ScreeningEntry | None:
    screen, counts = scores.numerics.screen, scores.screening
    if screen is None:
        return None
    if counts is None:  # the model does not run in the fast dtype
        scored = pc.sum(pc.equal(scores.rows["status"], "scored")).as_py() or 0
        return ScreeningEntry(screen, 0, scored, 0, 0.0, 0)
    return ScreeningEntry(screen, **asdict(counts))


def data_entry(memorization: Memorization) -> DataEntry:
    """The entry of the set that was scored."""
    scores = memorization.scores
    in_training_set = digests_in_training_set(scores.rows)
    short = count_too_short(scores)
    entry = DataEntry(
        **_same_named(DataEntry, scores.record),
        source=scores.training_set.source,
        distinct=len(memorization.distinct_rows),
        duplicates=memorization.duplicates,
        stratified=stratified_phrase(scores.training_set) if memorization.beyond is not None else "",
        in_training_set=len(in_training_set),
        too_short_distinct=short.distinct if short else None,
        too_short_copies=short.most_copies,
        reading={
            name: named(value) if isinstance(value, str) else value
            for name, value in scores.training_set.declared_reading.items()
        },
    )
    # Figures over another rest of the same set are of other examples.
    return replace(entry, digest=digest_of([entry.digest, in_training_set])) if in_training_set else entry


def inheritance_entry(inheritance: Inheritance) -> InheritanceEntry:
    return InheritanceEntry(**_same_named(InheritanceEntry, inheritance))


def risk_entry(risk: PredictedRisk) -> RiskEntry:
    predictor = risk.predictor
    exact_duplicates, near_duplicates = risk.duplicate_counts or (None, None)
    return RiskEntry(
        share_at_risk=risk.share_at_risk,
        expected_memorized=risk.expected_memorized,
        examples=tuple(risk.examples),
        exact_duplicates=exact_duplicates,
        near_duplicates=near_duplicates,
        threshold=risk.threshold,
        recall=risk.recall,
        features=predictor.features,
        labels=predictor.labels,
        fitted_to=predictor.examples,
        positives=predictor.positives,
        predictor=risk.predictor_digest,
        quality={name: tuple(figure) for name, figure in predictor.quality.items()},
        edges=tuple(RISK_EDGES),
        counts=tuple(np.histogram(risk.risks, RISK_EDGES)[0].tolist()),
        reliability=predictor.reliability,
        comparable_on=dict(risk.comparable_on),
    )


def confirmation_entry(confirmation: Confirmation) -> ConfirmationEntry:
    values = _same_named(ConfirmationEntry, confirmation)
    values["disagreements"] = tuple(
        {"engine": check.engine, "way": check.method, **to_json(disagreement)}
        for check in confirmation.engine_checks
        for disagreement in check.disagreements
    )
    values["engine_checks"] = tuple(
        EngineCheckEntry(check.engine, check.method, check.checked) for check in confirmation.engine_checks
    )
    return ConfirmationEntry(**values)


def _same_named(entry: type[Any], source: object) -> dict[str, Any]:
    """The attributes of a source that have the name of a field of the entry, as the immutable kinds of an entry."""
    values = {field.name: getattr(source, field.name, MISSING) for field in fields(entry)}
    return {name: _frozen(value) for name, value in values.items() if value is not MISSING}


def _frozen(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return tuple(value) if isinstance(value, list) else value
