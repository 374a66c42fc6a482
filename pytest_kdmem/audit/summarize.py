"""What an audit found → the entries of its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import numpy as np

from pytest_kdmem.audit.result import AuditResult
from pytest_kdmem.audit.schema import (
    ConfirmationEntry,
    DataEntry,
    EngineCheckEntry,
    Gate,
    InheritanceEntry,
    ModelEntry,
    RiskEntry,
)
from pytest_kdmem.base.typed_json import to_json
from pytest_kdmem.metrics.inheritance import Inheritance
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.risk.predicted import PredictedRisk
from pytest_kdmem.scoring.confirmation import Confirmation
from pytest_kdmem.specs.run_card import RunCard

VERSIONS_OF = ("pytest-kdmem", "torch", "transformers", "tokenizers")
# Between 0 and 1, five to a power of ten from 0.0001 on.
RISK_EDGES = [0.0, *(10 ** (step / 5) for step in range(-20, 1))]


def model_entry(found: Memorization, card: RunCard | None) -> ModelEntry:
    scores = found.scores
    return ModelEntry(
        source=scores.model.source,
        revision=scores.model.revision,
        digest=scores.checkpoint.digest,
        parameters=scores.checkpoint.parameters,
        architecture=scores.checkpoint.architecture,
        engine=scores.numerics.engine,
        device=scores.numerics.device,
        dtype=scores.numerics.dtype,
        tolerance=scores.tolerance,
        run=card.summary() if card is not None else None,
    )


def data_entry(found: Memorization | None) -> DataEntry | None:
    if found is None:
        return None
    record = found.scores.record
    return DataEntry(
        source=found.scores.training_set.source,
        digest=record.digest,
        examples=record.examples,
        distinct=len(found.distinct),
        too_short=record.too_short,
        duplicates=found.duplicates,
        exhaustive=record.exhaustive,
        left_out=record.left_out,
    )


def inheritance_entry(found: Inheritance | None) -> InheritanceEntry | None:
    if found is None:
        return None
    return InheritanceEntry(
        cells=found.cells,
        inherited=found.inherited,
        inherited_examples=tuple(found.inherited_examples),
        ratio=found.ratio,
        share=found.share,
        easy=found.easy,
        easy_share=found.easy_share,
        reduction=found.reduction,
        p_value=found.p_value,
        comparable_on=dict(found.comparable_on),
        model_digest=found.model_digest,
    )


def risk_entry(found: PredictedRisk | None) -> RiskEntry | None:
    if found is None:
        return None
    predictor = found.predictor
    return RiskEntry(
        share_at_risk=found.share_at_risk,
        expected_memorized=found.expected_memorized,
        examples=tuple(found.examples),
        exact_duplicates=found.duplicate_counts[0] if found.duplicate_counts is not None else None,
        near_duplicates=found.duplicate_counts[1] if found.duplicate_counts is not None else None,
        threshold=found.threshold,
        recall=found.recall,
        features=predictor.features,
        labels=predictor.labels,
        fitted_to=predictor.examples,
        positives=predictor.positives,
        predictor=found.predictor_digest,
        quality={name: tuple(figure) for name, figure in predictor.quality.items()},
        edges=tuple(RISK_EDGES),
        counts=tuple(np.histogram(found.risks, RISK_EDGES)[0].tolist()),
        reliability=predictor.reliability,
        comparable_on=dict(found.comparable_on),
    )


def confirmation_entry(found: Confirmation) -> ConfirmationEntry:
    return ConfirmationEntry(
        checked=found.checked,
        ambiguous_checked=found.ambiguous_checked,
        disagreements=tuple(
            {"engine": check.engine, "way": check.method, **to_json(disagreement)}
            for check in found.engine_checks
            for disagreement in check.disagreements
        ),
        engine_checks=tuple(
            EngineCheckEntry(check.engine, check.method, check.checked) for check in found.engine_checks
        ),
        ambiguous=found.ambiguous,
        claimed_tolerance=found.claimed_tolerance,
        implied_tolerance=found.implied_tolerance,
        greatest_difference=found.greatest_difference,
    )


def empty_result(settings: Mapping[str, Any], gates: Sequence[Gate], name: str = "") -> AuditResult:
    """The report of an audit that ended before anything was scored."""
    return AuditResult(
        name=name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        versions={name: version(name) for name in VERSIONS_OF},
        settings=dict(settings),
        gates=tuple(gates),
    )
