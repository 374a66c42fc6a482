"""One audit while it runs: compares what models memorized as its tests ask, and makes the record for the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pytest_kdmem.auditing.build_result import build_metrics, build_result
from pytest_kdmem.auditing.cleaned_students import CANARIES, MEMBERSHIP, cleaned_warning
from pytest_kdmem.auditing.judged_models import is_compared, refused
from pytest_kdmem.auditing.memberships import MembershipRequest, measure_membership
from pytest_kdmem.auditing.planted_canaries import PlantedCanaries
from pytest_kdmem.auditing.provenance import model_warnings
from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.auditing.schema import Gate
from pytest_kdmem.auditing.scored_audit import ScoredAudit
from pytest_kdmem.auditing.scoring_audit import ScoringAudit
from pytest_kdmem.auditing.teacher_sets import check_is_learned
from pytest_kdmem.canaries.manifest import Manifest
from pytest_kdmem.canaries.measured import MeasuredCanaries
from pytest_kdmem.corpus.sources import fingerprint
from pytest_kdmem.metrics.inheritance import Inheritance, compute_inheritance
from pytest_kdmem.metrics.membership import Membership
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.risk.cutoff import Cutoff
from pytest_kdmem.risk.label_source import LabelSource
from pytest_kdmem.risk.pipeline import RiskPipeline
from pytest_kdmem.risk.predicted import PredictedRisk
from pytest_kdmem.specs.declared import Model, TrainingSet


@dataclass
class Audit(ScoringAudit):
    """Answers what tests ask of models, and makes the record of it."""

    _canaries: PlantedCanaries = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._canaries = PlantedCanaries(self._scorer)

    def inheritance(self, teacher: Model, baseline: Model, student: Model, training_set: TrainingSet) -> Inheritance:
        """Compare what three models memorized of a training set.

        Raises:
            PartScored: Only a part is scored in this run.
            KdmemError: A model cannot be scored, or the models cannot be compared.
        """
        models = {"teacher": teacher, "baseline": baseline, "student": student}
        source_digest = fingerprint(training_set) or ""
        memorizations = {
            role: self._memorization(model, training_set, source_digest, "verdict") for role, model in models.items()
        }
        checkpoints = {role: memorization.scores.checkpoint for role, memorization in memorizations.items()}
        is_own_set = training_set == self.training_set
        for role, memorization in memorizations.items():
            own_set = training_set if is_own_set and not (role == "teacher" and self.teacher_set) else None
            self._so_far.warn(self._run_cards.warnings(memorization, role, checkpoints["teacher"].digest, own_set))
            sets = self.training_set, self.teacher_set
            self._so_far.warn(self._run_cards.teacher_set_warnings(memorization, role, *sets))
            if memorization.subject != role and models[role] == self.roles.get(role):  # one model in two roles
                memorizations[role] = replace(memorization, subject=role)
        self._so_far.warn(model_warnings(**checkpoints))
        inheritance = compute_inheritance(**memorizations)
        teacher_label, baseline_label, student_label = (each.label for each in memorizations.values())
        self._so_far.keep(
            inheritance,
            (teacher_label, baseline_label, student_label),
            of_audit=models.items() <= self.roles.items(),
            over_own=is_own_set,
            over_teacher_set=training_set == self.teacher_set,
        )
        return inheritance

    def membership(self, request: MembershipRequest) -> Membership:
        """Measure how well attacks on a model tell its training set from a control set.

        Raises:
            PartScored: Only a part is scored in this run.
            KdmemError: A model cannot be scored, or the sets cannot be held against each other.
        """
        if request.reference is not None:
            self._judged.add_reference(request.reference)
            if not self.roles_of(request.reference):
                self._scorer.references.add(request.reference)
        if self.run.holds_no_gate:
            models = {*request.models, *self.roles.values()}
            with self._scorer.going_on():
                self._scorer.score_part(models, request.training_set, "all")
            self._scorer.score_part(models, request.control_set, "all")
        measured = measure_membership(request, self._with_all_metrics, self.store, offline=self.run.offline)
        self._so_far.warn(measured.warnings)
        self._warn_of_cleaning(request.model, request.training_set, MEMBERSHIP)
        self._so_far.memberships[request] = measured
        return measured.membership

    def canaries(self, model: Model, training_set: TrainingSet, manifest: Manifest) -> MeasuredCanaries:
        """Measure what a model shows of canaries in its training set.

        Raises:
            PartScored: Only a part is scored in this run.
            SpecError: The model has another tokenizer than the canaries.
            DataError: The training set does not hold the canaries as they were registered, or holds a twin.
            KdmemError: The model cannot be scored.
        """
        # By which the audit knows the model as its own, and whether it was trained on that set.
        memorization = self.memorization(model, training_set)
        measured = self._canaries.measure(memorization, manifest)
        self._warn_of_cleaning(model, training_set, CANARIES)
        return measured

    def predicted_risk(
        self,
        teacher: Model,
        baseline: Model,
        training_set: TrainingSet,
        label_source: LabelSource,
        threshold: float | None = None,
    ) -> PredictedRisk:
        """Predict what a future student will memorize.

        The one pass over teacher and baseline also gives their verdicts.

        Raises:
            PartScored: Only a part is scored in this run.
            KdmemError: A model cannot be scored, or nothing can be predicted from them.
        """
        check_is_learned(training_set, self.teacher_set)
        cutoff = Cutoff(threshold)
        label_source.check(self.extraction)
        pipeline = RiskPipeline(
            teacher, baseline, training_set, self.extraction, self.store, self.run, progress=self.progress
        )
        if self.run.holds_no_gate:
            with self._scorer.going_on():
                pipeline.score_pair()
            students = {label_source.labels_from} if isinstance(label_source.labels_from, Model) else set()
            self._scorer.score_part(students | set(self.roles.values()), training_set, "verdict")
        source_digest = fingerprint(training_set) or ""
        pair = pipeline.score_pair()
        for scores in (pair.teacher, pair.baseline):
            self._judged.add(scores.model, scores.checkpoint, must_stay=bool(self.roles_of(scores.model)))
            self._check(scores)
            if self._scorer.has_verdict_numerics(scores):
                self._remember(scores, source_digest, "all")
        risk = pipeline.predict(pair, label_source, cutoff=cutoff, confidence=self.confidence).risk
        self._so_far.warn(f"predicted risk: {warning}" for warning in risk.warnings)
        is_own = {"teacher": teacher, "baseline": baseline}.items() <= self.roles.items()
        if self._so_far.predicted_risk is None or (is_own and training_set == self.training_set):
            self._so_far.predicted_risk = risk
        return risk

    def result(self, settings: Mapping[str, Any], gates: Sequence[Gate]) -> AuditResult:
        """Return the whole record: everything scored, single examples, and the gates.

        No gate passes if the files of a model are no longer those that were judged.
        """
        # A model counts that plays a role here, or that a gate compares.
        if changes := self._judged.changes(
            lambda model: bool(self.roles_of(model)) or is_compared(self.subject(model), gates)
        ):
            self._so_far.warn(changes)
            gates = [refused(gate, changes[0]) for gate in gates]
        return build_result(
            self._scored(), settings, gates, shows_text=self.shows_text, run=self.run, progress=self.progress
        )

    @property
    def forecasts(self) -> list[Any]:
        """In a dry run, what each run of a model would take."""
        return self._scorer.forecasts

    @property
    def has_predicted(self) -> bool:
        """Whether a test asked for the predicted risk."""
        return self._so_far.predicted_risk is not None

    @property
    def has_canaries(self) -> bool:
        """Whether a test asked for canaries."""
        return bool(self._canaries.measured)

    @property
    def accepted_differences(self) -> frozenset[str]:
        """Differences between run cards and this audit that were found and accepted, each as ``role:kind``."""
        return frozenset(self._run_cards.differences)

    def metrics_so_far(self) -> AuditResult:
        """Return the record of what was scored until now, without settings, gates and single examples."""
        return build_metrics(self._scored(), {}, ())

    def _warn_of_cleaning(self, model: Model, training_set: TrainingSet, consequence: str) -> None:
        card = self._run_cards.cards.get(model)
        self._so_far.warn(cleaned_warning(card, self.subject(model), training_set, consequence))

    def _with_all_metrics(self, model: Model, training_set: TrainingSet) -> Memorization:
        return self.memorization(model, training_set, "all")

    def _scored(self) -> ScoredAudit:
        moment = self._so_far.moment(self, self._run_cards.cards)
        return replace(
            moment,
            near_verbatim=tuple(self.beside.near),
            sampled=tuple(self.beside.sampled),
            specific=tuple(self.beside.specific),
            canaries=tuple(canaries for _, canaries in self._canaries.measured),
        )
