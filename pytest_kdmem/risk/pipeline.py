"""Predict risk from teacher, baseline and training set; scores, near-duplicates and predictors are kept in a store."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pytest_kdmem.base.arrays import ExampleIds
from pytest_kdmem.base.digests import digest_of
from pytest_kdmem.base.progress import NO_PROGRESS, Progress, status_of
from pytest_kdmem.base.versions import installed_version
from pytest_kdmem.corpus.chat_source import may_hold_conversations
from pytest_kdmem.corpus.columns import Document
from pytest_kdmem.corpus.examples import Example, stream_examples
from pytest_kdmem.corpus.near_duplicates import PROTOCOL as NEAR_DUPLICATES
from pytest_kdmem.corpus.near_duplicates import NearDuplicate, near_duplicates
from pytest_kdmem.corpus.presets import resolve
from pytest_kdmem.corpus.sources import ReadDocuments, read_documents
from pytest_kdmem.corpus.tokenizer import open_tokenizer
from pytest_kdmem.errors import DataError, DryRun
from pytest_kdmem.risk.cutoff import Cutoff
from pytest_kdmem.risk.features import STUDY_FEATURES, Features, extract_features
from pytest_kdmem.risk.fitting import FITTING_VERSION, FittedPredictor, fit_predictor
from pytest_kdmem.risk.label_source import LabelSource
from pytest_kdmem.risk.labels import Labels, labels_from_both_models, labels_from_file, labels_from_rows
from pytest_kdmem.risk.predicted import PredictedRisk, apply_predictor
from pytest_kdmem.risk.predictor import Predictor
from pytest_kdmem.risk.predictor_file import predictor_digest, predictor_from_json, predictor_to_json, read_predictor
from pytest_kdmem.scoring.pair_job import SIDES
from pytest_kdmem.scoring.score import score, score_pair
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.scoring.table import PairTable, ScoreTable
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.runtime import RunSettings


@dataclass(frozen=True, eq=False)
class PipelineResult:
    """A prediction and its predictor.

    Attributes:
        risk: The predicted risks.
        fitted: The predictor with its assessment, if that was asked for and the predictor was not read from a file.
    """

    risk: PredictedRisk
    fitted: FittedPredictor | None


@dataclass(frozen=True)
class RiskPipeline:
    """Predicts the risk of a training set from the scores of teacher and baseline.

    Attributes:
        teacher, baseline: The two models.
        training_set: The training set whose examples are at risk.
        extraction: Lengths of prefix, suffix and window.
        store: Store of scores, near-duplicates and predictors, each of which is computed once.
        run: Settings of engine, executor and device.
        progress: Called with the progress of scoring.
    """

    teacher: Model
    baseline: Model
    training_set: TrainingSet
    extraction: Extraction
    store: ScoreStore
    run: RunSettings
    progress: Progress = NO_PROGRESS

    def score_pair(self) -> PairTable:
        """Score teacher and baseline together, which also gives the KL divergence between them.

        Raises:
            KdmemError: The models, the training set or the store cannot be used.
            PartScored: Only a part is scored in this run.
        """
        return score_pair(
            self.teacher,
            self.baseline,
            self.training_set,
            self.extraction,
            self.store,
            settings=self.run,
            progress=self.progress,
        )

    def end_dry_run(self, label_source: LabelSource) -> NoReturn:
        """Measure what scoring would take: of teacher and baseline, and of a student whose examples are the labels.

        Raises:
            DryRun: Always, with the forecasts.
            KdmemError: The models, the training set or the store cannot be used.
        """
        forecasts: list[Any] = []
        for scoring in (self.score_pair, partial(self._score_student, label_source.labels_from)):
            try:
                scoring()
            except DryRun as dry_run:
                forecasts += dry_run.forecasts
        raise DryRun(forecasts)

    def predict(
        self,
        pair: PairTable,
        label_source: LabelSource,
        *,
        feature_names: tuple[str, ...] = STUDY_FEATURES,
        cutoff: Cutoff | None = None,
        confidence: float = 0.95,
        assess: bool = False,
    ) -> PipelineResult:
        """Fit a predictor to the training set, or read one that was fitted before, and apply it.

        Args:
            pair: Scores of teacher and baseline over the training set.
            label_source: What the predictor is learned from.
            feature_names: Features to fit to; a predictor that was fitted before has its own.
            cutoff: How the threshold is chosen at or above which an example is at risk.
            confidence: Confidence level of each one-sided bound.
            assess: Fit anew even if the store has the predictor, because only fitting gives the assessment.

        Raises:
            DataError: There are too few labels of either class, or labels or predictor cannot be read.
            SpecError: The predictor does not apply to these features, or its threshold finds too little.
        """
        cutoff, fitted = cutoff or Cutoff(), None
        notes = [f"{role}: {note}" for role in SIDES for note in getattr(pair, role).notes]
        if label_source.predictor_path is not None:
            predictor = read_predictor(label_source.predictor_path)
            features, learned_from = extract_features(pair, predictor.features), predictor_digest(predictor)
        else:
            features = extract_features(pair, feature_names)
            labels = self.load_labels(features, label_source.labels_from)
            learned_from = labels.digest
            notes += [f"{labels.source}: {note}" for note in labels.notes]
            with status_of(self.progress, "fitting the predictor"):
                fitted = fit_predictor(features, labels) if assess else None
                predictor = fitted.predictor if fitted is not None else self.fitted_predictor(features, labels)
        risk = apply_predictor(features, predictor, cutoff, confidence=confidence)
        risk = replace(risk, warnings=(*notes, *risk.warnings))
        comparable_on = {
            "training set": pair.teacher.record.digest,
            "teacher": pair.teacher.checkpoint.digest,
            "baseline": pair.baseline.checkpoint.digest,
            "predictor": learned_from,
            "risk threshold": str(cutoff),
        }
        at_risk = frozenset(features.digests.filter(pa.array(risk.at_risk)).to_pylist())
        if features.exhaustive:  # a sample shows neither copies nor near-duplicates
            pairs = self.near_duplicates(pair.teacher, at_risk)
            either = {digest for near in pairs for digest in (near.digest, near.duplicate_of)}
            risk = replace(risk, near_duplicates=at_risk & either)
        return PipelineResult(replace(risk, comparable_on=comparable_on), fitted)

    def load_labels(self, features: Features, labels_from: Model | Path | None) -> Labels:
        """Return labels of the examples: by a student, which is scored if necessary, a file, or both models.

        Raises:
            DataError: The labels are of another corpus.
        """
        if labels_from is None:
            return labels_from_both_models(features)
        if isinstance(labels_from, Path):
            return labels_from_file(labels_from, features)
        scores = self._score_student(labels_from)
        assert scores is not None
        labels = labels_from_rows(scores.rows, features, labels_from.name, scores.checkpoint.digest)
        return replace(labels, notes=scores.notes)

    def _score_student(self, labels_from: Model | Path | None) -> ScoreTable | None:
        """Score the student whose examples are the labels; None if they come from elsewhere."""
        if not isinstance(labels_from, Model):
            return None
        return score(
            labels_from,
            self.training_set,
            self.extraction,
            self.store,
            settings=self.run,
            metrics="verdict",
            progress=self.progress,
        )

    def fitted_predictor(self, features: Features, labels: Labels) -> Predictor:
        """Return the predictor of these features and labels from the store, or fit and store it."""
        digests = [hashlib.sha256(array.tobytes()).hexdigest() for array in (features.values, labels.memorized)]
        # Predictors that were stored before the tokenizer's content was known are still found.
        source = asdict(features.source)
        del source["tokenizer_content"]
        inputs = [features.names, source, labels.source, labels.digest]
        libraries = map(installed_version, ("scikit-learn", "scipy"))
        key = digest_of([FITTING_VERSION, *libraries, *digests, *inputs])
        with suppress(DataError):
            if (content := self.store.read_entry("predictors", key)) is not None:
                return predictor_from_json(content)
        predictor = fit_predictor(features, labels).predictor
        self.store.write_entry("predictors", key, predictor_to_json(predictor))
        return predictor

    def near_duplicates(self, scores: ScoreTable, digests: frozenset[str]) -> tuple[NearDuplicate, ...]:
        """Return the near-duplicates of the examples with these digests from the store, or search and store them."""
        if not digests:
            return ()
        key = digest_of([NEAR_DUPLICATES, scores.record.digest, sorted(digests)])
        if (content := self.store.read_entry("near-duplicates", key)) is not None:
            return tuple(NearDuplicate(int(index), str(digest), str(of)) for index, digest, of in content["found"])
        with status_of(self.progress, "looking for near-duplicates"):
            pairs = tuple(self._search_near_duplicates(scores, digests))
        self.store.write_entry("near-duplicates", key, {"found": pairs})
        return pairs

    def documents_of(self, scores: ScoreTable) -> ExampleIds:
        """Return the index of the document of the source that holds each of the n examples, int64 ``[n]``.

        Args:
            scores: A score table of the training set.
        """
        n = scores.record.examples
        if takes_every_document(self.training_set):
            return np.arange(n)
        tokenizer = open_tokenizer(scores.model, scores.checkpoint, self.training_set)
        examples = stream_examples(self.training_set, tokenizer, scores.extraction, offline=self.run.offline)
        rows = np.array([example.row for example in examples], dtype=np.int64)
        if len(rows) != n:
            raise DataError(f"{self.training_set.source} was changed while it was cleaned; run the command again.")
        return rows

    def _search_near_duplicates(self, scores: ScoreTable, digests: frozenset[str]) -> Iterator[NearDuplicate]:
        tokenizer = open_tokenizer(scores.model, scores.checkpoint, self.training_set)
        rows = scores.rows.filter(pc.is_in(scores.rows["digest"], pa.array(sorted(digests))))
        positions = frozenset(rows["example_id"].to_pylist())

        def all_examples(read: ReadDocuments = read_documents) -> Iterator[Example]:
            return stream_examples(self.training_set, tokenizer, scores.extraction, offline=self.run.offline, read=read)

        def read_selected(training_set: TrainingSet, *, offline: bool) -> Iterator[Document]:
            documents = read_documents(training_set, offline=offline)
            return (document for position, document in enumerate(documents) if position in positions)

        # If each document is an example, only those with the wanted digests have to be tokenized.
        selected = partial(all_examples, read_selected) if takes_every_document(self.training_set) else None
        return iter(near_duplicates(all_examples, digests, selected))


def takes_every_document(training_set: TrainingSet) -> bool:
    """Return whether the n-th document of the source is the n-th example."""
    _, selection = resolve(training_set)
    return training_set.form == "documents" and not selection.rule and not may_hold_conversations(training_set)
