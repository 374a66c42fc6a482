"""One audit while it runs: scores what its tests ask for, and remembers it for the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pytest_kdmem.auditing.build_result import build_metrics, build_result
from pytest_kdmem.auditing.declared_audit import DeclaredAudit
from pytest_kdmem.auditing.groups_of_sets import GroupsOfSets, looked_at_warnings
from pytest_kdmem.auditing.judged_models import JudgedModels, is_compared, refused
from pytest_kdmem.auditing.memberships import MembershipRequest, measure_membership
from pytest_kdmem.auditing.noise import check_is_no_noise
from pytest_kdmem.auditing.planted_canaries import PlantedCanaries
from pytest_kdmem.auditing.provenance import model_warnings
from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.auditing.run_cards import RunCards
from pytest_kdmem.auditing.runs_beside import RunsBeside
from pytest_kdmem.auditing.schema import Gate
from pytest_kdmem.auditing.scored_audit import ScoredAudit
from pytest_kdmem.auditing.scored_share import check_scored_share, check_whole_prompts
from pytest_kdmem.auditing.scored_so_far import ScoredSoFar
from pytest_kdmem.auditing.scorer import Scorer, check_same_examples
from pytest_kdmem.auditing.teacher_sets import AbsentExamples, check_is_learned
from pytest_kdmem.corpus.sources import fingerprint
from pytest_kdmem.engines.protocol import Metrics
from pytest_kdmem.metrics.inheritance import Inheritance, compute_inheritance
from pytest_kdmem.metrics.membership import Membership
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.risk.cutoff import Cutoff
from pytest_kdmem.risk.label_source import LabelSource
from pytest_kdmem.risk.pipeline import RiskPipeline
from pytest_kdmem.risk.predicted import PredictedRisk
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.scoring.table import ScoreTable
from pytest_kdmem.secrets.examples import SecretsOfExamples
from pytest_kdmem.secrets.search import SecretSearch
from pytest_kdmem.specs.declared import Model, TrainingSet


@dataclass
class Audit(DeclaredAudit):
    """Scores each model once per training set.

    Attributes:
        store: Where scores are kept.
        beside: Further runs of models that it has scored.
        canaries: Canaries in its training sets.
    """

    store: ScoreStore = field(init=False)
    beside: RunsBeside = field(init=False)
    canaries: PlantedCanaries = field(init=False)
    _run_cards: RunCards = field(init=False)
    _judged: JudgedModels = field(init=False)
    _scorer: Scorer = field(init=False)
    _secrets: SecretsOfExamples = field(init=False)
    _absent: AbsentExamples = field(init=False)
    _groups: GroupsOfSets = field(default_factory=GroupsOfSets)
    _so_far: ScoredSoFar = field(default_factory=ScoredSoFar)

    def __post_init__(self) -> None:
        self._run_cards = RunCards(self.extraction, self.run.offline, self.accepted_provenance)
        self._judged = JudgedModels(self.run.offline)
        # A gate does not rest on rows of which it cannot be seen whose they are.
        self.store = ScoreStore(self.cache_dir, reads_unbound=False)
        self._scorer = Scorer(self.extraction, self.run, self.store, self.progress)
        self._secrets = SecretsOfExamples(SecretSearch(self.secret_settings, self.run.offline), self.store)
        self.beside = RunsBeside(self._scorer)
        self._absent = AbsentExamples(self.store, self.run.offline)
        self.canaries = PlantedCanaries(self._scorer)

    def memorization(self, model: Model, training_set: TrainingSet, metrics: Metrics = "verdict") -> Memorization:
        """Score a model, or return what was scored before.

        Raises:
            PartScored: Only a part is scored in this run.
            KdmemError: The model cannot be scored; another model was scored over other tokens of the same text; or,
                with ``confirms``, an engine disagrees outside the ambiguous band.
        """
        return self._memorization(model, training_set, fingerprint(training_set) or "", metrics)

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
        self._so_far.keep(
            inheritance,
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
        if self.run.holds_no_gate:
            models = {*request.models, *self.roles.values()}
            with self._scorer.going_on():
                self._scorer.score_part(models, request.training_set, "all")
            self._scorer.score_part(models, request.control_set, "all")
        measured = measure_membership(request, self._with_all_metrics, self.store, offline=self.run.offline)
        self._so_far.warn(measured.warnings)
        self._so_far.memberships[request] = measured
        return measured.membership

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
        return build_result(self._scored(), settings, gates, shows_text=self.shows_text, offline=self.run.offline)

    @property
    def scores(self) -> list[ScoreTable]:
        """All score tables until now, of models with a role and of others."""
        return [memorization.scores for memorization in self._so_far.memorizations.values()]

    @property
    def forecasts(self) -> list[Any]:
        """In a dry run, what each run of a model would take."""
        return self._scorer.forecasts

    @property
    def has_predicted(self) -> bool:
        """Whether a test asked for the predicted risk."""
        return self._so_far.predicted_risk is not None

    def metrics_so_far(self) -> AuditResult:
        """Return the record of what was scored until now, without settings, gates and single examples."""
        return build_metrics(self._scored(), {}, ())

    def _with_all_metrics(self, model: Model, training_set: TrainingSet) -> Memorization:
        return self.memorization(model, training_set, "all")

    def _scored(self) -> ScoredAudit:
        moment = self._so_far.moment(self, self._run_cards.cards)
        return replace(
            moment,
            near_verbatim=tuple(self.beside.near),
            sampled=tuple(self.beside.sampled),
            specific=tuple(self.beside.specific),
            canaries=tuple(canaries for _, canaries in self.canaries.measured),
        )

    def _memorization(
        self, model: Model, training_set: TrainingSet, source_digest: str, metrics: Metrics
    ) -> Memorization:
        checkpoint = self._scorer.open(model)
        self._judged.add(model, checkpoint, must_stay=bool(self.roles_of(model)))
        sufficient_metrics: tuple[Metrics, ...] = (metrics, "all")
        for scored_metrics in sufficient_metrics:
            key = (model, checkpoint.digest, source_digest, training_set, scored_metrics)
            if (memorization := self._so_far.memorizations.get(key)) is not None:
                return memorization
        if self.run.holds_no_gate:
            self._scorer.score_part({model, *self.roles.values()}, training_set, metrics)
        scores = self._scorer.score(model, checkpoint, training_set, metrics)
        if training_set == self.teacher_set:
            scores = self._absent.of(scores, self.training_set)
        return self._remember(scores, source_digest, metrics)

    def _remember(self, scores: ScoreTable, source_digest: str, metrics: Metrics) -> Memorization:
        """Check a model's scores as far as the audit asks for it, and keep them."""
        model, training_set = scores.model, scores.training_set
        self._check(scores)
        self._so_far.warn(self._scorer.warnings)
        other_set = self.other_set(training_set)
        groups = self._groups.of(scores, source_digest, offline=self.run.offline)
        memorization = Memorization(
            self.subject(model),
            scores,
            self.confidence,
            other_set,
            self._secrets,
            groups=groups,
            least_share=self.min_scored_share,
            sampling=self.beside,
        )
        if (strata_scores := self._scorer.score_strata(scores, metrics)) is not None:
            memorization = replace(memorization, beyond=replace(memorization, scores=strata_scores))
        self._so_far.warn(looked_at_warnings(memorization))
        roles = self.roles_of(model) or [memorization.subject]
        over = (
            f"{memorization.subject} over the control set" if training_set == self.control_set else memorization.label
        )
        self._so_far.warn(f"{over}: {note}" for note in scores.notes)
        sets = self.training_set, self.teacher_set
        self._so_far.warn(self._run_cards.read(memorization, roles, self.roles.get("teacher"), *sets))
        if self.confirms and training_set != self.control_set:
            self._confirm(memorization)
        self._so_far.memorizations[model, scores.checkpoint.digest, source_digest, training_set, metrics] = memorization
        return memorization

    def _check(self, scores: ScoreTable) -> None:
        """Check that a model's scores are comparable with those of the other models, and tell about most of the set."""
        check_same_examples(scores, self.scores)
        check_scored_share(scores, self.min_scored_share)
        if warning := check_whole_prompts(scores, self.min_scored_share):
            self._so_far.warn([warning])
        if self.must_be_known(scores.training_set):
            check_is_no_noise(scores, self.run)

    def _confirm(self, memorization: Memorization) -> None:
        """Check verdicts with every installed engine; the outcome is reported even if it is an error."""
        label = memorization.label
        confirmation = self._scorer.confirm(memorization.scores)
        self._so_far.confirmations[label] = confirmation
        self._so_far.warn(confirmation.warnings(label))
        confirmation.check(label)
