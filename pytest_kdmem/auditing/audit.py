"""One audit while it runs: scores what its tests ask for, and remembers it for the report."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pytest_kdmem.auditing.build_result import build_metrics, build_result
from pytest_kdmem.auditing.groups_of_sets import GroupsOfSets
from pytest_kdmem.auditing.judged_models import JudgedModels, is_compared, refused
from pytest_kdmem.auditing.memberships import MeasuredMembership, MembershipRequest, measure_membership
from pytest_kdmem.auditing.noise import check_is_no_noise
from pytest_kdmem.auditing.provenance import model_warnings
from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.auditing.run_cards import RunCards
from pytest_kdmem.auditing.runs_beside import RunsBeside
from pytest_kdmem.auditing.schema import Gate
from pytest_kdmem.auditing.scored_audit import ScoredAudit
from pytest_kdmem.auditing.scored_share import check_scored_share, check_whole_prompts
from pytest_kdmem.auditing.scorer import Scorer, check_same_examples
from pytest_kdmem.base.progress import Progress
from pytest_kdmem.base.text import count
from pytest_kdmem.corpus.sources import fingerprint
from pytest_kdmem.engines.protocol import Metrics
from pytest_kdmem.errors import PartScored
from pytest_kdmem.metrics.inheritance import Inheritance, compute_inheritance
from pytest_kdmem.metrics.membership import Membership
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.metrics.near_verbatim import NearVerbatim
from pytest_kdmem.metrics.specific import Specific
from pytest_kdmem.risk.cutoff import Cutoff
from pytest_kdmem.risk.label_source import LabelSource
from pytest_kdmem.risk.pipeline import RiskPipeline
from pytest_kdmem.risk.predicted import PredictedRisk
from pytest_kdmem.scoring.confirmation import Confirmation
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.scoring.table import ScoreTable
from pytest_kdmem.secrets.examples import SecretsOfExamples
from pytest_kdmem.secrets.search import SecretSearch
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.nearness import Nearness
from pytest_kdmem.specs.roles import MODEL_ROLES
from pytest_kdmem.specs.runtime import RunSettings
from pytest_kdmem.specs.secret_settings import SecretSettings


@dataclass
class Audit:
    """Scores each model once per training set.

    Attributes:
        extraction: Lengths in tokens.
        run: How models are run.
        confidence: Confidence level of each one-sided bound.
        confirms: Whether verdicts are checked with every installed engine.
        cache_dir: Folder of the score store.
        progress: Shows the progress of scoring.
        name: Name of the audit in reports: where it is declared, relative to pytest's root.
        student: Name of the student if the audit is of one of several; the name of the audit ends in it.
        roles: Models that the audit declares, by role.
        training_set: Training set that the audit declares.
        control_set: Control set that the audit declares.
        shows_text: Whether the report contains the text of recited examples.
        secret_settings: How the text of recited examples is searched for secrets.
        accepted_provenance: Differences between run cards and this audit that are accepted, each as ``role:kind``.
        min_scored_share: Least share of a set's examples that must be long enough to be scored.
    """

    extraction: Extraction
    run: RunSettings
    confidence: float
    confirms: bool
    cache_dir: Path
    progress: Progress
    name: str = ""
    student: str = ""
    roles: dict[str, Model] = field(default_factory=dict)
    training_set: TrainingSet | None = None
    control_set: TrainingSet | None = None
    shows_text: bool = False
    secret_settings: SecretSettings = field(default_factory=SecretSettings)
    accepted_provenance: Collection[str] = ()
    min_scored_share: float = 0.5
    # By model, digests of its weights and of the training set's source, training set, and metrics.
    _memorizations: dict[tuple[Model, str, str, TrainingSet, Metrics], Memorization] = field(default_factory=dict)
    _confirmations: dict[str, Confirmation] = field(default_factory=dict)
    store: ScoreStore = field(init=False)
    _run_cards: RunCards = field(init=False)
    _judged: JudgedModels = field(init=False)
    _scorer: Scorer = field(init=False)
    _secrets: SecretsOfExamples = field(init=False)
    _beside: RunsBeside = field(init=False)
    _groups: GroupsOfSets = field(default_factory=GroupsOfSets)
    _warnings: dict[str, None] = field(default_factory=dict)  # a set that keeps its order
    _inheritance: Inheritance | None = None
    _predicted_risk: PredictedRisk | None = None
    _memberships: dict[MembershipRequest, MeasuredMembership] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._run_cards = RunCards(self.extraction, self.run.offline, self.accepted_provenance)
        self._judged = JudgedModels(self.run.offline)
        # A gate does not rest on rows of which it cannot be seen whose they are.
        self.store = ScoreStore(self.cache_dir, reads_unbound=False)
        self._scorer = Scorer(self.extraction, self.run, self.store, self.progress)
        self._secrets = SecretsOfExamples(SecretSearch(self.secret_settings, self.run.offline), self.store)
        self._beside = RunsBeside(self._scorer)

    def memorization(self, model: Model, training_set: TrainingSet, metrics: Metrics = "verdict") -> Memorization:
        """Score a model, or return what was scored before.

        Raises:
            PartScored: Only a part is scored in this run.
            KdmemError: The model cannot be scored; another model was scored over other tokens of the same text; or,
                with ``confirms``, an engine disagrees outside the ambiguous band.
        """
        return self._memorization(model, training_set, fingerprint(training_set) or "", metrics)

    def near_verbatim(self, model: Model, training_set: TrainingSet, nearness: Nearness) -> NearVerbatim:
        """Find what a model recites nearly verbatim; only what its pass leaves open is decoded.

        Raises:
            PartScored: Only a part is scored in this run.
            KdmemError: The model cannot be scored or decoded.
        """
        return self._beside.near_verbatim(self.memorization(model, training_set), nearness)

    def specific_memorization(self, model: Model, training_set: TrainingSet, *, n: int, p: float) -> Specific:
        """Find what a model memorized and does not say without the example's own prefix.

        Raises:
            PartScored: Only a part is scored in this run.
            KdmemError: The model cannot be scored, or n or p is out of range.
        """
        return self._beside.specific_memorization(self.memorization(model, training_set), n=n, p=p)

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
            own_set = training_set if is_own_set else None
            self._warn(self._run_cards.warnings(memorization, role, checkpoints["teacher"].digest, own_set))
            if memorization.subject != role and models[role] == self.roles.get(role):  # one model in two roles
                memorizations[role] = replace(memorization, subject=role)
        self._warn(model_warnings(**checkpoints))
        inheritance = compute_inheritance(**memorizations)
        # The report contains the audit's own, even if a test compares other models later.
        if self._inheritance is None or (training_set == self.training_set and models.items() <= self.roles.items()):
            self._inheritance = inheritance
        return inheritance

    def membership(self, request: MembershipRequest) -> Membership:
        """Measure how well attacks on a model tell its training set from a control set.

        Raises:
            PartScored: Only a part is scored in this run.
            KdmemError: A model cannot be scored, or the sets cannot be held against each other.
        """
        if self.run.part is not None:
            models = {*request.models, *self.roles.values()}
            with suppress(PartScored):
                self._scorer.score_part(models, request.training_set, "all")
            self._scorer.score_part(models, request.control_set, "all")
        measured = measure_membership(request, self._with_all_metrics, self.store, offline=self.run.offline)
        self._warn(measured.warnings)
        self._memberships[request] = measured
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
        cutoff = Cutoff(threshold)
        label_source.check(self.extraction)
        pipeline = RiskPipeline(
            teacher, baseline, training_set, self.extraction, self.store, self.run, progress=self.progress
        )
        if self.run.part is not None:
            with suppress(PartScored):
                pipeline.score_pair()
            students = {label_source.labels_from} if isinstance(label_source.labels_from, Model) else set()
            self._scorer.score_part(students | set(self.roles.values()), training_set, "verdict")
        source_digest = fingerprint(training_set) or ""
        pair = pipeline.score_pair()
        for scores in (pair.teacher, pair.baseline):
            self._judged.add(scores.model, scores.checkpoint, must_stay=bool(self._roles_of(scores.model)))
            self._check(scores)
            if self._scorer.has_verdict_numerics(scores):
                self._remember(scores, source_digest, "all")
        risk = pipeline.predict(pair, label_source, cutoff=cutoff, confidence=self.confidence).risk
        self._warn(f"predicted risk: {warning}" for warning in risk.warnings)
        is_own = {"teacher": teacher, "baseline": baseline}.items() <= self.roles.items()
        if self._predicted_risk is None or (is_own and training_set == self.training_set):
            self._predicted_risk = risk
        return risk

    def subject(self, model: Model) -> str:
        """Return the model's role in this audit, ``student`` if that is one of several; or its source."""
        roles = self._roles_of(model)
        if roles:
            return "student" if "student" in roles else roles[0]
        return f"./{model.source}" if model.source in MODEL_ROLES else model.source

    def result(self, settings: Mapping[str, Any], gates: Sequence[Gate]) -> AuditResult:
        """Return the whole record: everything scored, single examples, and the gates.

        No gate passes if the files of a model are no longer those that were judged.
        """
        # A model counts that plays a role here, or that a gate compares.
        if changes := self._judged.changes(
            lambda model: bool(self._roles_of(model)) or is_compared(self.subject(model), gates)
        ):
            self._warn(changes)
            gates = [refused(gate, changes[0]) for gate in gates]
        return build_result(self._scored(), settings, gates, shows_text=self.shows_text, offline=self.run.offline)

    @property
    def scores(self) -> list[ScoreTable]:
        """All score tables until now, of models with a role and of others."""
        return [memorization.scores for memorization in self._memorizations.values()]

    @property
    def has_predicted(self) -> bool:
        """Whether a test asked for the predicted risk."""
        return self._predicted_risk is not None

    def metrics_so_far(self) -> AuditResult:
        """Return the record of what was scored until now, without settings, gates and single examples."""
        return build_metrics(self._scored(), {}, ())

    def _with_all_metrics(self, model: Model, training_set: TrainingSet) -> Memorization:
        return self.memorization(model, training_set, "all")

    def _scored(self) -> ScoredAudit:
        # A model with several roles has a row for each of them.
        rows = [
            (subject, memorization)
            for memorization in self._memorizations.values()
            for subject in self._roles_of(memorization.scores.model) or [memorization.subject]
        ]
        trained = [replace(each, subject=subject) for subject, each in rows if not self._is_over_control_set(each)]
        return ScoredAudit(
            name=self.name,
            extraction=self.extraction,
            confidence=self.confidence,
            memorizations={memorization.label: memorization for memorization in trained},
            control_memorizations={subject: each for subject, each in rows if self._is_over_control_set(each)},
            run_cards=dict(self._run_cards.cards),
            confirmations=dict(self._confirmations),
            inheritance=self._inheritance,
            predicted_risk=self._predicted_risk,
            warnings=tuple(self._warnings),
            student=self.student,
            memberships=tuple(self._memberships.values()),
            near_verbatim=tuple(self._beside.near),
            specific=tuple(self._beside.specific),
        )

    def _is_over_control_set(self, memorization: Memorization) -> bool:
        return memorization.scores.training_set == self.control_set

    def _roles_of(self, model: Model) -> list[str]:
        return [role for role, declared_model in self.roles.items() if declared_model == model]

    def _warn(self, warnings: Iterable[str]) -> None:
        self._warnings |= dict.fromkeys(warnings)

    def _memorization(
        self, model: Model, training_set: TrainingSet, source_digest: str, metrics: Metrics
    ) -> Memorization:
        checkpoint = self._scorer.open(model)
        self._judged.add(model, checkpoint, must_stay=bool(self._roles_of(model)))
        sufficient_metrics: tuple[Metrics, ...] = (metrics, "all")
        for scored_metrics in sufficient_metrics:
            key = (model, checkpoint.digest, source_digest, training_set, scored_metrics)
            if (memorization := self._memorizations.get(key)) is not None:
                return memorization
        if self.run.part is not None:
            self._scorer.score_part({model, *self.roles.values()}, training_set, metrics)
        return self._remember(self._scorer.score(model, checkpoint, training_set, metrics), source_digest, metrics)

    def _remember(self, scores: ScoreTable, source_digest: str, metrics: Metrics) -> Memorization:
        """Check a model's scores as far as the audit asks for it, and keep them."""
        model, training_set = scores.model, scores.training_set
        self._check(scores)
        if shards := self.store.passed_over:
            self._warn(
                [
                    f"{count(shards)} stored shards do not name the model that they were scored by, as an earlier"
                    " version wrote them: these examples were scored again"
                ]
            )
        is_own_set = training_set in (self.training_set or training_set, self.control_set)
        groups = self._groups.of(scores, source_digest, offline=self.run.offline)
        other_set = "" if is_own_set else training_set.label
        memorization = Memorization(
            self.subject(model), scores, self.confidence, other_set, self._secrets, groups=groups
        )
        roles = self._roles_of(model) or [memorization.subject]
        over = (
            f"{memorization.subject} over the control set" if training_set == self.control_set else memorization.label
        )
        self._warn(f"{over}: {note}" for note in scores.notes)
        self._warn(self._run_cards.read(memorization, roles, self.roles.get("teacher"), self.training_set))
        if self.confirms and training_set != self.control_set:
            self._confirm(memorization)
        self._memorizations[model, scores.checkpoint.digest, source_digest, training_set, metrics] = memorization
        return memorization

    def _check(self, scores: ScoreTable) -> None:
        """Check that a model's scores are comparable with those of the other models, and tell about most of the set."""
        check_same_examples(scores, self.scores)
        check_scored_share(scores, self.min_scored_share)
        if warning := check_whole_prompts(scores, self.min_scored_share):
            self._warn([warning])
        if scores.training_set == (self.training_set or scores.training_set) != self.control_set:
            check_is_no_noise(scores, self.run)

    def _confirm(self, memorization: Memorization) -> None:
        """Check verdicts with every installed engine; the outcome is reported even if it is an error."""
        label = memorization.label
        confirmation = self._scorer.confirm(memorization.scores)
        self._confirmations[label] = confirmation
        if not confirmation.within_claimed_tolerance:
            self._warn(
                [
                    f"{label}: margins differ by more than the tolerance that its run claimed; audit with"
                    " --kdmem-dtype float32 if ambiguous examples matter"
                ]
            )
        confirmation.check(label)
