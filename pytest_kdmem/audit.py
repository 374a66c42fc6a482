"""One audit as it runs: what was scored and which gates were held, gathered into an AuditResult."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pytest_kdmem.checkpoint import open_checkpoint
from pytest_kdmem.confirmation import Confirmation, confirm
from pytest_kdmem.corpus.sources import fingerprint
from pytest_kdmem.engines.protocol import Metrics
from pytest_kdmem.errors import SpecError
from pytest_kdmem.inheritance import Inheritance, inheritance_of
from pytest_kdmem.memorization import Memorization
from pytest_kdmem.progress import Progress
from pytest_kdmem.provenance import believed_card, differences
from pytest_kdmem.result import (
    AuditResult,
    ConfirmationEntry,
    DataEntry,
    Gate,
    HeldOutEntry,
    InheritanceEntry,
    ModelEntry,
)
from pytest_kdmem.run_card import RunCard
from pytest_kdmem.scoring import RunSettings, score
from pytest_kdmem.spec import Extraction, Model, TrainingSet
from pytest_kdmem.store import ScoreStore

VERSIONS_OF = ("pytest-kdmem", "torch", "transformers", "tokenizers")


@dataclass
class Audit:
    """Scores each model once per training set, and remembers what the report needs.

    ``roles``, ``training_set`` and ``control_set`` are what the audit declared, and ``name`` is where.
    """

    extraction: Extraction
    run: RunSettings
    confidence: float
    confirms: bool
    cache_dir: Path | None
    progress: Progress
    name: str = ""
    roles: dict[str, Model] = field(default_factory=dict)
    training_set: TrainingSet | None = None
    control_set: TrainingSet | None = None
    _found: dict[tuple[str, str, TrainingSet, Metrics], Memorization] = field(default_factory=dict)
    _confirmed: dict[str, Confirmation] = field(default_factory=dict)
    _cards: dict[str, RunCard | None] = field(default_factory=dict)
    _warnings: dict[str, None] = field(default_factory=dict)
    _inherited: Inheritance | None = None
    _scratch: tempfile.TemporaryDirectory[str] | None = None

    @property
    def store(self) -> ScoreStore:
        """The score store: the cache, or a folder that goes with the run."""
        if self.cache_dir is not None:
            return ScoreStore(self.cache_dir)
        if self._scratch is None:
            self._scratch = tempfile.TemporaryDirectory(prefix="kdmem-")
        return ScoreStore(Path(self._scratch.name))

    def memorization(self, model: Model, training_set: TrainingSet, metrics: Metrics = "verdict") -> Memorization:
        """Score a model, or give what was scored before.

        Raises:
            KdmemError: it cannot be scored, or, with ``confirms``, decoding disagrees outside the ambiguous band.
        """
        # By content, not by name: a folder may have been trained anew since it was last asked for.
        weights = open_checkpoint(model, offline=self.run.offline).digest
        source = fingerprint(training_set) or ""
        asked: tuple[Metrics, ...] = (metrics, "all")
        for known in asked:
            found = self._found.get((weights, source, training_set, known))
            if found is not None and found.scores.model == model:
                return found
        scores = score(
            model,
            training_set,
            self.extraction,
            self.store,
            settings=self.run,
            metrics=metrics,
            progress=self.progress,
        )
        found = Memorization(self.subject(model), scores, self.confidence)
        self._read_card(found)
        if self.confirms and training_set != self.control_set:
            confirmation = confirm(scores, self.run)
            confirmation.check(found.subject)
            self._confirmed[found.subject] = confirmation
        self._found[weights, source, training_set, metrics] = found
        return found

    def inheritance(self, teacher: Model, baseline: Model, student: Model, training_set: TrainingSet) -> Inheritance:
        self._inherited = inheritance_of(
            *(self.memorization(model, training_set) for model in (teacher, baseline, student))
        )
        return self._inherited

    def subject(self, model: Model) -> str:
        """The model's role in this audit, or its name, or, where that is taken, its source."""
        if role := next((role for role, known in self.roles.items() if known == model), ""):
            return role
        others = {found.scores.model for found in self._found.values()} - {model}
        return model.source if model.name in {*self.roles, *(other.name for other in others)} else model.name

    def result(self, settings: Mapping[str, Any], gates: Sequence[Gate]) -> AuditResult:
        """What there is to report: all that was scored, and the gates held over it."""
        trained: dict[str, Memorization] = {}
        held_out: dict[str, Memorization] = {}
        for f in self._found.values():
            if f.scores.training_set == self.control_set:
                held_out[f.subject] = f
            elif self.training_set in (None, f.scores.training_set):
                trained[f.subject] = f
            else:
                trained[f"{f.subject} on {f.scores.training_set.source}"] = f
        return replace(
            bare_result(settings, gates, self.name),
            settings=dict(settings) | asdict(self.extraction) | {"confidence": self.confidence},
            models={
                subject: _model_entry(f, self._cards.get(f.subject))
                for subject, f in (*held_out.items(), *trained.items())
            },
            training_set=_data_entry(
                next((f for f in trained.values() if self.training_set in (None, f.scores.training_set)), None)
            ),
            control_set=_data_entry(next(iter(held_out.values()), None)),
            memorization={subject: f.rate for subject, f in trained.items()},
            memorized_examples={subject: tuple(f.examples) for subject, f in trained.items()},
            held_out={subject: HeldOutEntry(f.rate, f.loss, f.perplexity) for subject, f in held_out.items()},
            inheritance=_inheritance_entry(self._inherited),
            confirmation={subject: _confirmation_entry(c) for subject, c in self._confirmed.items()},
            warnings=tuple(self._warnings),
        )

    def _read_card(self, found: Memorization) -> None:
        subject = found.subject
        card, warnings = believed_card(subject, found.scores.checkpoint.folder)
        self._cards[subject] = card
        if card is not None:
            warnings = differences(
                card, subject, self.roles.get("teacher"), self.training_set, offline=self.run.offline
            )
        self._warnings |= dict.fromkeys(warnings)

    def close(self) -> None:
        if self._scratch is not None:
            self._scratch.cleanup()


def check_control(training_set: TrainingSet, control_set: TrainingSet) -> None:
    """Raise SpecError where the text that no model should know is what they were trained on."""
    known = fingerprint(replace(training_set, sample=None, seed=0))
    if (training_set.source == control_set.source and training_set.split == control_set.split) or (
        known is not None and known == fingerprint(replace(control_set, sample=None, seed=0))
    ):
        raise SpecError(
            f"Text that no model was trained on was expected as control set, and {control_set.source} is the training"
            " set; hold some text out."
        )


def bare_result(settings: Mapping[str, Any], gates: Sequence[Gate], name: str = "") -> AuditResult:
    """The report of an audit that ended before anything was scored."""
    return AuditResult(
        name=name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        versions={name: version(name) for name in VERSIONS_OF},
        settings=dict(settings),
        gates=tuple(gates),
    )


def _model_entry(found: Memorization, card: RunCard | None) -> ModelEntry:
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


def _data_entry(found: Memorization | None) -> DataEntry | None:
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


def _inheritance_entry(found: Inheritance | None) -> InheritanceEntry | None:
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
    )


def _confirmation_entry(found: Confirmation) -> ConfirmationEntry:
    return ConfirmationEntry(found.checked, found.ambiguous_checked, tuple(asdict(one) for one in found.disagreements))
