"""Scores the models of one audit, each once for each set, and checks what it keeps of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial

from pytest_kdmem.auditing.cleaned_students import diluted_warning
from pytest_kdmem.auditing.declared_audit import DeclaredAudit
from pytest_kdmem.auditing.groups_of_sets import GroupsOfSets, looked_at_warnings
from pytest_kdmem.auditing.judged_models import JudgedModels
from pytest_kdmem.auditing.noise import check_is_no_noise
from pytest_kdmem.auditing.provenance import read_trusted_card
from pytest_kdmem.auditing.reading_first import reading_first
from pytest_kdmem.auditing.run_cards import RunCards
from pytest_kdmem.auditing.runs_beside import RunsBeside
from pytest_kdmem.auditing.scored_share import (
    check_scored_share,
    check_whole_prompts,
    few_examples_warning,
    short_copies_warning,
    short_suffix_warning,
)
from pytest_kdmem.auditing.scored_so_far import ScoredSoFar
from pytest_kdmem.auditing.scorer import Scorer, check_same_examples
from pytest_kdmem.auditing.teacher_sets import AbsentExamples
from pytest_kdmem.auditing.unseen import left_out_warning, unseen_copies
from pytest_kdmem.corpus.sources import fingerprint
from pytest_kdmem.engines.protocol import Metrics
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.scoring.table import ScoreTable
from pytest_kdmem.secrets.examples import SecretsOfExamples
from pytest_kdmem.secrets.search import SecretSearch
from pytest_kdmem.specs.checkpoint import Checkpoint
from pytest_kdmem.specs.declared import Model, TrainingSet
from pytest_kdmem.specs.roles import CONTROL_SET_NAME
from pytest_kdmem.specs.run_card import RunCard


@dataclass
class ScoringAudit(DeclaredAudit):
    """Scores each model once per training set.

    Attributes:
        store: Where scores are kept.
        beside: Further runs of models that it has scored.
    """

    store: ScoreStore = field(init=False)
    beside: RunsBeside = field(init=False)
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
        self._absent = AbsentExamples(self.store, self.run.offline, self.min_scored_share)

    def memorization(self, model: Model, training_set: TrainingSet, metrics: Metrics = "verdict") -> Memorization:
        """Score a model, or return what was scored before.

        Raises:
            PartScored: Only a part is scored in this run.
            KdmemError: The model cannot be scored; another model was scored over other tokens of the same text; or,
                with ``confirms``, an engine disagrees outside the ambiguous band.
        """
        return self._memorization(model, training_set, fingerprint(training_set) or "", metrics)

    @property
    def scores(self) -> list[ScoreTable]:
        """All score tables until now, of models with a role and of others."""
        return [memorization.scores for memorization in self._so_far.memorizations.values()]

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
        with reading_first(self.subject(model), training_set, partial(self._card_of, model, checkpoint, training_set)):
            scores = self._scorer.score(model, checkpoint, training_set, metrics)
            if training_set == self.teacher_set:
                scores = self._absent.of(scores, self.training_set)
            return self._remember(scores, source_digest, metrics)

    def _card_of(self, model: Model, checkpoint: Checkpoint, training_set: TrainingSet) -> RunCard | None:
        """The trusted run card of a model, if it may name the set."""
        if training_set != self.training_set:
            return None
        return read_trusted_card(self.subject(model), model, checkpoint, offline=self.run.offline).card

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
            secrets=self._secrets,
            groups=groups,
            least_share=self.min_scored_share,
            sampling=self.beside,
            set_name=CONTROL_SET_NAME if training_set == self.control_set else "",
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
        self._so_far.warn(self._run_cards.read(memorization, roles, self.roles, *sets))
        card = self._run_cards.cards.get(model)
        if training_set != self.control_set:
            unseen = unseen_copies(scores, card, self.max_short_copies)
            self._so_far.warn(left_out_warning(unseen))
            memorization = replace(memorization, unseen=unseen)
        if training_set == self.training_set:
            self._so_far.warn(few_examples_warning(memorization, card))
            self._so_far.warn(diluted_warning(card, memorization.subject, training_set, scores.record.examples))
        if self.confirms and training_set != self.control_set:
            self._confirm(memorization.scores, memorization.label)
            if strata_scores is not None and len(strata_scores.rows):
                self._confirm(strata_scores, f"{memorization.label}, strata beyond the sample")
        self._so_far.memorizations[model, scores.checkpoint.digest, source_digest, training_set, metrics] = memorization
        return memorization

    def _check(self, scores: ScoreTable) -> None:
        """Check that a model's scores are comparable with those of the other models, and tell about most of the set."""
        check_same_examples(scores, self.scores)
        check_scored_share(scores, self.min_scored_share)
        if warning := check_whole_prompts(scores, self.min_scored_share):
            self._so_far.warn([warning])
        if scores.training_set != self.control_set and (warning := short_copies_warning(scores)):
            self._so_far.warn([warning])
        if scores.training_set != self.control_set:
            self._so_far.warn(short_suffix_warning(scores))
        if self.must_be_known(scores.training_set):
            check_is_no_noise(scores, self.run)

    def _confirm(self, scores: ScoreTable, label: str) -> None:
        """Check verdicts with every installed engine; the outcome is reported even if it is an error."""
        confirmation = self._scorer.confirm(scores)
        self._so_far.confirmations[label] = confirmation
        self._so_far.warn(confirmation.warnings(label))
        confirmation.check(label)
