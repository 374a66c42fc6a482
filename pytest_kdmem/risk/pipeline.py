"""Teacher × baseline × training set → PredictedRisk, with a predictor fitted to it or elsewhere."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pytest_kdmem.base.digests import digest_of
from pytest_kdmem.base.progress import NO_PROGRESS, Progress
from pytest_kdmem.base.text import percent
from pytest_kdmem.corpus.columns import Document
from pytest_kdmem.corpus.examples import Example, load_tokenizer, stream_examples
from pytest_kdmem.corpus.near_duplicates import PROTOCOL as NEAR_DUPLICATES
from pytest_kdmem.corpus.near_duplicates import NearDuplicate, near_duplicates
from pytest_kdmem.corpus.presets import resolve
from pytest_kdmem.corpus.sources import ReadDocuments, read_documents
from pytest_kdmem.errors import DataError, SpecError
from pytest_kdmem.risk.features import STUDY, Features, features_of
from pytest_kdmem.risk.fitting import FITTING, Fitted, fit_predictor
from pytest_kdmem.risk.labels import Labels, labels_from_file, labels_from_rows, recited_by_both
from pytest_kdmem.risk.predicted import RECALL, PredictedRisk, check_threshold, predict
from pytest_kdmem.risk.predictor import Predictor, content_of, predictor_digest, predictor_of, read_predictor
from pytest_kdmem.scoring.score import score, score_pair
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.scoring.table import PairTable, ScoreTable
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.runtime import RunSettings

BOTH = "both"


@dataclass(frozen=True)
class LabelSource:
    """What a prediction is learned from: labels, or a predictor that was fitted before.

    Args:
        labels_from: an earlier student, which is scored; a table that `kdmem score` wrote of one (.parquet); or None:
            what teacher and baseline both recite.
        predictor: file that `kdmem risk --save` wrote.
    """

    labels_from: Model | Path | None = None
    predictor: Path | None = None

    def check(self, extraction: Extraction, threshold: float | None) -> None:
        """Tell now, before any model is loaded, what can be seen to be wrong.

        Raises:
            DataError: labels or predictor are not there, or cannot be read.
            SpecError: the predictor is of other lengths, or the threshold no probability.
        """
        check_threshold(threshold)
        if isinstance(self.labels_from, Path) and not self.labels_from.is_file():
            raise DataError(
                f"A table of scores was expected at {self.labels_from}, and there is no such file; check the path."
            )
        if self.predictor is not None:
            read_predictor(self.predictor).check_lengths(extraction)


def label_source_from(labels_from: str | Path | Model | None, predictor: str | Path | None) -> LabelSource:
    """What settings and commands say: ``both``, a folder, a hub id or a .parquet file; or a predictor's file.

    Raises:
        SpecError: labels and a predictor are both given.
    """
    if labels_from is not None and predictor is not None:
        named = labels_from.source if isinstance(labels_from, Model) else labels_from
        raise SpecError(
            f"Either labels or a fitted predictor was expected; found both ({named} and {predictor}): drop"
            " --kdmem-labels-from or --kdmem-predictor."
        )
    if isinstance(labels_from, str | Path):
        if str(labels_from) == BOTH:
            labels_from = None
        elif str(labels_from).endswith(".parquet"):
            labels_from = Path(labels_from).expanduser()
        else:
            labels_from = Model(str(labels_from))
    return LabelSource(labels_from, Path(predictor).expanduser() if predictor is not None else None)


@dataclass(frozen=True)
class RiskPipeline:
    """Over what, and how, risk is predicted; the pair is scored once, and read from the store after that.

    Raises:
        KdmemError: models, training set or store cannot be used.
        PartScored: only a part is scored in this run.
    """

    teacher: Model
    baseline: Model
    training_set: TrainingSet
    extraction: Extraction
    store: ScoreStore
    run: RunSettings
    progress: Progress = NO_PROGRESS

    def pair(self) -> PairTable:
        """Rows of teacher and baseline, and how far the two are apart."""
        return score_pair(
            self.teacher,
            self.baseline,
            self.training_set,
            self.extraction,
            self.store,
            settings=self.run,
            progress=self.progress,
        )

    def near_duplicates(self, scores: ScoreTable, wanted: frozenset[str]) -> tuple[NearDuplicate, ...]:
        """Examples that are nearly one of those wanted, by digest; found once, and read from the store after that."""
        if not wanted:
            return ()
        key = digest_of([NEAR_DUPLICATES, scores.record.digest, sorted(wanted)])
        if (known := self.store.read_finding("near-duplicates", key)) is not None:
            return tuple(NearDuplicate(int(at), str(digest), str(of)) for at, digest, of in known["found"])
        tokenizer = load_tokenizer(scores.checkpoint.folder, trust_remote_code=scores.model.trust_remote_code)

        def examples(read: ReadDocuments = read_documents) -> Iterator[Example]:
            return stream_examples(self.training_set, tokenizer, self.extraction, offline=self.run.offline, read=read)

        def some(training_set: TrainingSet, *, offline: bool) -> Iterator[Document]:
            documents = read_documents(training_set, offline=offline)
            return (document for at, document in enumerate(documents) if at in places)

        rows = scores.rows.filter(pc.is_in(scores.rows["digest"], pa.array(sorted(wanted))))
        places = frozenset(rows["example_id"].to_pylist())
        # Where each document is an example, only those that are wanted need tokens to be known.
        among = partial(examples, some) if takes_every_document(self.training_set) else None
        found = tuple(near_duplicates(examples, wanted, among))
        self.store.write_finding("near-duplicates", key, {"found": found})
        return found

    def predictor(self, features: Features, labels: Labels) -> Predictor:
        """Fitted once to these features and labels, and read from the store after that."""
        digests = [hashlib.sha256(one.tobytes()).hexdigest() for one in (features.values, labels.memorized)]
        told = [features.names, asdict(features.source), labels.source, labels.digest]
        key = digest_of([FITTING, version("scikit-learn"), version("scipy"), *digests, *told])
        with suppress(DataError):
            if (known := self.store.read_finding("predictors", key)) is not None:
                return predictor_of(known)
        predictor = fit_predictor(features, labels).predictor
        self.store.write_finding("predictors", key, content_of(predictor))
        return predictor

    def labels(self, features: Features, labels_from: Model | Path | None) -> Labels:
        """What is known to have been memorized.

        Raises:
            DataError: it is of another corpus.
        """
        if labels_from is None:
            return recited_by_both(features)
        if isinstance(labels_from, Path):
            return labels_from_file(labels_from, features)
        scores = score(
            labels_from,
            self.training_set,
            self.extraction,
            self.store,
            settings=self.run,
            metrics="verdict",
            progress=self.progress,
        )
        return labels_from_rows(scores.rows, features, labels_from.name, scores.checkpoint.digest)


@dataclass(frozen=True, eq=False)
class Prediction:
    """Risks, and what was fitted to give them, where that was asked for and the predictor was not fitted before."""

    risk: PredictedRisk
    fitted: Fitted | None


def prediction(
    predicting: RiskPipeline,
    pair: PairTable,
    learning: LabelSource,
    *,
    names: tuple[str, ...] = STUDY,
    threshold: float | None = None,
    recall: float = RECALL,
    confidence: float = 0.95,
    assessed: bool = False,
) -> Prediction:
    """Fit a predictor to the training set itself, or take one fitted elsewhere, and apply it.

    Args:
        names: of the features; a fitted predictor has its own.
        assessed: fit anew, for what only that tells of a predictor.

    Raises:
        DataError: there are too few labels of either class, or labels or predictor cannot be read.
        SpecError: the predictor is of another kind of data, or its threshold finds too little.
    """
    fitted = None
    if learning.predictor is not None:
        predictor = read_predictor(learning.predictor)
        features, learned_from = features_of(pair, predictor.features), predictor_digest(predictor)
    else:
        features = features_of(pair, names)
        labels = predicting.labels(features, learning.labels_from)
        learned_from = labels.digest
        fitted = fit_predictor(features, labels) if assessed else None
        predictor = fitted.predictor if fitted is not None else predicting.predictor(features, labels)
    risk = predict(features, predictor, threshold=threshold, recall=recall, confidence=confidence)
    comparable_on = {
        "training set": pair.teacher.record.digest,
        "teacher": pair.teacher.checkpoint.digest,
        "baseline": pair.baseline.checkpoint.digest,
        "predictor": learned_from,
        "risk threshold": f"{threshold:g}" if threshold is not None else f"recall of {percent(recall)}",
    }
    wanted = frozenset(features.digests.filter(pa.array(risk.at_risk)).to_pylist())
    if features.exhaustive:  # of a sample neither copies nor near-duplicates are known
        near = predicting.near_duplicates(pair.teacher, wanted)
        risk = replace(risk, near_duplicates=wanted & {name for one in near for name in one[1:]})
    return Prediction(replace(risk, comparable_on=comparable_on), fitted)


def takes_every_document(training_set: TrainingSet) -> bool:
    """Whether the n-th document of the source is the n-th example."""
    _, selection = resolve(training_set)
    return training_set.form == "documents" and not selection.rule
