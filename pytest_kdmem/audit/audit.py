"""One audit as it runs: what was scored and which gates were held, gathered into an AuditResult."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

from pytest_kdmem.audit.provenance import card_warnings, model_warnings, read_trusted_card
from pytest_kdmem.audit.recited_text import with_text
from pytest_kdmem.audit.result import AuditResult
from pytest_kdmem.audit.schema import Gate, HeldOutEntry
from pytest_kdmem.audit.summarize import (
    confirmation_entry,
    data_entry,
    empty_result,
    inheritance_entry,
    model_entry,
    risk_entry,
)
from pytest_kdmem.audit.summarize_examples import distributions_entry, examples_entry
from pytest_kdmem.base.progress import Progress
from pytest_kdmem.corpus.sources import fingerprint
from pytest_kdmem.engines.numerics import Numerics, resolve_numerics
from pytest_kdmem.engines.protocol import Metrics
from pytest_kdmem.errors import KdmemError, PartScored, SpecError
from pytest_kdmem.metrics.inheritance import Inheritance, compute_inheritance
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.risk.label_source import LabelSource
from pytest_kdmem.risk.pipeline import RiskPipeline
from pytest_kdmem.risk.predicted import Cutoff, PredictedRisk
from pytest_kdmem.scoring.confirm import confirm
from pytest_kdmem.scoring.confirmation import Confirmation
from pytest_kdmem.scoring.score import score
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.scoring.table import ScoreTable
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.roles import MODEL_ROLES
from pytest_kdmem.specs.run_card import RunCard
from pytest_kdmem.specs.runtime import RunSettings


@dataclass
class Audit:
    """Scores each model once per training set, and remembers what the report needs.

    ``roles``, ``training_set`` and ``control_set`` are what the audit declared, and ``name`` is where. With
    ``shows_text`` its report holds the text of what is recited.
    """

    extraction: Extraction
    run: RunSettings
    confidence: float
    confirms: bool
    cache_dir: Path
    progress: Progress
    name: str = ""
    roles: dict[str, Model] = field(default_factory=dict)
    training_set: TrainingSet | None = None
    control_set: TrainingSet | None = None
    shows_text: bool = False
    _found: dict[tuple[Model, str, str, TrainingSet, Metrics], Memorization] = field(default_factory=dict)
    _confirmed: dict[str, Confirmation] = field(default_factory=dict)
    _cards: dict[Model, RunCard | None] = field(default_factory=dict)
    _warnings: dict[str, None] = field(default_factory=dict)
    _inherited: Inheritance | None = None
    _risk: PredictedRisk | None = None
    _parts: set[tuple[Model, str, TrainingSet, Metrics]] = field(default_factory=set)

    @property
    def store(self) -> ScoreStore:
        return ScoreStore(self.cache_dir)

    def memorization(self, model: Model, training_set: TrainingSet, metrics: Metrics = "verdict") -> Memorization:
        """Score a model, or give what was scored before.

        Raises:
            PartScored: only a part is scored in this run.
            KdmemError: it cannot be scored, another model was scored over other tokens of the same text, or, with
                ``confirms``, a witness disagrees outside the ambiguous band.
        """
        # By content, not by name: a folder may have been trained anew since it was last asked for.
        weights = open_checkpoint(model, offline=self.run.offline).digest
        source = fingerprint(training_set) or ""
        asked: tuple[Metrics, ...] = (metrics, "all")
        for known in asked:
            if (found := self._found.get((model, weights, source, training_set, known))) is not None:
                return found
        if self.run.part is not None:
            self._score_part({model, *self.roles.values()}, training_set, metrics)
        return self._keep(self._score(model, training_set, metrics), weights, source, metrics)

    def _keep(self, scores: ScoreTable, weights: str, source: str, metrics: Metrics) -> Memorization:
        """Take a model's scores into the audit, checked as far as it asks for."""
        model, training_set = scores.model, scores.training_set
        self._check_same_examples(scores)
        own = training_set in (self.training_set or training_set, self.control_set)
        found = Memorization(self.subject(model), scores, self.confidence, "" if own else training_set.label)
        self._read_card(found)
        if self.confirms and training_set != self.control_set:
            confirmation = confirm(scores, self.run, self.store, progress=self.progress)
            self._confirmed[found.label] = confirmation  # reported, whichever way it went
            if not confirmation.within_claimed_tolerance:
                said = f"{found.label}: margins differ by more than the tolerance that its run claimed"
                self._warnings[f"{said}; audit with --kdmem-dtype float32 if ambiguous examples matter"] = None
            confirmation.check(found.label)
        self._found[model, weights, source, training_set, metrics] = found
        return found

    def inheritance(self, teacher: Model, baseline: Model, student: Model, training_set: TrainingSet) -> Inheritance:
        placed = {"teacher": teacher, "baseline": baseline, "student": student}
        found = {role: self.memorization(model, training_set) for role, model in placed.items()}
        for role, one in found.items():
            self._hold_card(one, role, found["teacher"].scores.checkpoint.digest, training_set)
        for role, one in found.items():
            if one.subject != role and placed[role] == self.roles.get(role):  # one model in two roles
                found[role] = replace(one, subject=role)
        checkpoints = (found[role].scores.checkpoint for role in ("teacher", "baseline", "student"))
        self._warnings |= dict.fromkeys(model_warnings(*checkpoints))
        inherited = compute_inheritance(**found)
        # The audit's own is what its report tells of, whatever else is compared.
        if self._inherited is None or (training_set == self.training_set and placed.items() <= self.roles.items()):
            self._inherited = inherited
        return inherited

    def predicted_risk(
        self,
        teacher: Model,
        baseline: Model,
        training_set: TrainingSet,
        label_source: LabelSource,
        threshold: float | None = None,
    ) -> PredictedRisk:
        """What a student to come will memorize; the pass over teacher and baseline gives their verdicts as well."""
        cutoff = Cutoff(threshold)
        label_source.check(self.extraction)
        pipeline = RiskPipeline(
            teacher, baseline, training_set, self.extraction, self.store, self.run, progress=self.progress
        )
        if self.run.part is not None:
            with suppress(PartScored):
                pipeline.score_pair()
            students = {label_source.labels_from} if isinstance(label_source.labels_from, Model) else set()
            self._score_part(students | set(self.roles.values()), training_set, "verdict")
        source = fingerprint(training_set) or ""
        pair = pipeline.score_pair()
        for scores in (pair.teacher, pair.baseline):
            self._check_same_examples(scores)
            if scores.numerics == self._numerics(scores):
                self._keep(scores, scores.checkpoint.digest, source, "all")
        risk = pipeline.predict(pair, label_source, cutoff=cutoff, confidence=self.confidence).risk
        self._warnings |= dict.fromkeys(f"predicted risk: {said}" for said in risk.warnings)
        own = {"teacher": teacher, "baseline": baseline}.items() <= self.roles.items()
        if self._risk is None or (own and training_set == self.training_set):
            self._risk = risk
        return risk

    def subject(self, model: Model) -> str:
        """The model's role in this audit, of several that which ships; or its source, whatever else was scored."""
        roles = [role for role, known in self.roles.items() if known == model]
        if roles:
            return "student" if "student" in roles else roles[0]
        return f"./{model.source}" if model.source in MODEL_ROLES else model.source

    def result(self, settings: Mapping[str, Any], gates: Sequence[Gate]) -> AuditResult:
        """What there is to report: all that was scored, single examples, and the gates held over it."""
        audited = self._audited()
        examples = examples_entry(audited, self._risk)
        if examples is not None and examples.example_id and self.shows_text:
            try:
                examples = with_text(examples, next(iter(audited.values())).scores, offline=self.run.offline)
            except KdmemError as error:
                self._warnings[f"text is not shown: {error}"] = None
        return replace(self.found(settings, gates), examples=examples, distributions=distributions_entry(audited))

    def found(self, settings: Mapping[str, Any], gates: Sequence[Gate]) -> AuditResult:
        """What there is to report, but for single examples."""
        trained = self._placed()
        held_out = {
            subject: f
            for f in self._found.values()
            if f.scores.training_set == self.control_set
            for subject in self._rows(f)
        }
        return replace(
            empty_result(settings, gates, self.name),
            settings=dict(settings) | asdict(self.extraction) | {"confidence": self.confidence},
            models={
                subject: model_entry(f, self._cards.get(f.scores.model))
                for subject, f in (*held_out.items(), *trained.items())
            },
            training_set=data_entry(next(iter(self._audited().values()), None)),
            other_sets={subject: entry for subject, f in trained.items() if f.other_set and (entry := data_entry(f))},
            control_set=data_entry(next(iter(held_out.values()), None)),
            memorization={subject: f.rate for subject, f in trained.items()},
            memorized_examples={subject: tuple(f.examples) for subject, f in trained.items()},
            ambiguous_examples={subject: tuple(f.ambiguous_examples) for subject, f in trained.items()},
            held_out={subject: HeldOutEntry(f.rate, f.loss, f.perplexity) for subject, f in held_out.items()},
            inheritance=inheritance_entry(self._inherited),
            risk=risk_entry(self._risk),
            confirmation={subject: confirmation_entry(c) for subject, c in self._confirmed.items()},
            warnings=tuple(self._warnings),
        )

    def _audited(self) -> dict[str, Memorization]:
        """What was scored over the audit's own training set."""
        return {subject: found for subject, found in self._placed().items() if not found.other_set}

    def _placed(self) -> dict[str, Memorization]:
        """What was scored over training sets, by what a report calls it."""
        return {
            placed.label: placed
            for found in self._found.values()
            if found.scores.training_set != self.control_set
            for placed in (replace(found, subject=subject) for subject in self._rows(found))
        }

    def _numerics(self, scores: ScoreTable) -> Numerics:
        """What verdicts of a model are taken with in this audit: another engine, perhaps, than whole figures are."""
        run = self.run
        return resolve_numerics(
            scores.model, scores.checkpoint, engine=run.engine, device=run.device, dtype=run.dtype, metrics="verdict"
        )

    def _score(self, model: Model, training_set: TrainingSet, metrics: Metrics) -> ScoreTable:
        return score(
            model,
            training_set,
            self.extraction,
            self.store,
            settings=self.run,
            metrics=metrics,
            progress=self.progress,
        )

    def _score_part(self, models: Iterable[Model], training_set: TrainingSet, metrics: Metrics) -> NoReturn:
        """Score a part of one model and of those that its test may ask for next, as the test ends here."""
        for model in sorted(models, key=lambda one: one.source):
            weights = open_checkpoint(model, offline=self.run.offline).digest
            if (asked := (model, weights, training_set, metrics)) not in self._parts:
                with suppress(PartScored):
                    self._score(model, training_set, metrics)
                self._parts.add(asked)
        raise PartScored(f"Part {self.run.part} is scored; gates wait for the other parts.")

    def _rows(self, found: Memorization) -> list[str]:
        """What a report calls a model: all its roles, or the one name it has."""
        return [role for role, known in self.roles.items() if known == found.scores.model] or [found.subject]

    def _check_same_examples(self, scores: ScoreTable) -> None:
        """Raise SpecError where figures of two models would be taken over different examples and compared."""
        for other in (found.scores for found in self._found.values()):
            if other.training_set == scores.training_set and other.record.digest != scores.record.digest:
                raise SpecError(
                    f"The same examples of {scores.training_set.source} were expected for {other.model.source} and"
                    f" {scores.model.source}, and they differ, as their tokenizers do or the set was changed; audit"
                    " models of another tokenizer in a folder with a conftest.py of its own."
                )

    def _read_card(self, found: Memorization) -> None:
        subject, scores = found.subject, found.scores
        card, warnings = read_trusted_card(
            subject, scores.model, scored=scores.checkpoint.digest, offline=self.run.offline
        )
        self._cards[scores.model] = card
        self._warnings |= dict.fromkeys(warnings)
        teacher = self.roles.get("teacher")
        teachers_digest = open_checkpoint(teacher, offline=self.run.offline).digest if card and teacher else None
        for role in self._rows(found):
            self._hold_card(found, role, teachers_digest, self.training_set)

    def _hold_card(self, found: Memorization, role: str, teacher: str | None, training_set: TrainingSet | None) -> None:
        """Hold a model's card against the place that it takes."""
        if card := self._cards.get(found.scores.model):
            said = card_warnings(card, found.subject, role, teacher, training_set, self.extraction)
            self._warnings |= dict.fromkeys(said)
