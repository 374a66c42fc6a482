"""Measures canaries for an audit: the training set is seen to hold them before a model's figures are given."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from pytest_kdmem.auditing.scorer import Scorer
from pytest_kdmem.base.digests import digest_of
from pytest_kdmem.canaries.audit import check_planted, measured, score_strings
from pytest_kdmem.canaries.manifest import Manifest
from pytest_kdmem.canaries.measured import MeasuredCanaries
from pytest_kdmem.corpus.sources import training_fingerprint
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.scoring.table import ScoreTable
from pytest_kdmem.specs.declared import TrainingSet


@dataclass(frozen=True)
class PlantedCanaries:
    """The canaries of an audit, each manifest measured once for each model.

    Attributes:
        scorer: How the audit runs models, and where scores are kept.
        measured: What was measured, by the digest of the manifest, in the order in which it was asked for.
    """

    scorer: Scorer
    measured: list[tuple[ScoreTable, MeasuredCanaries]] = field(default_factory=list)
    _checked: set[tuple[str, str, str, TrainingSet]] = field(default_factory=set)

    def measure(self, memorization: Memorization, manifest: Manifest) -> MeasuredCanaries:
        """Measure what a model shows of canaries, or return what was measured before.

        Args:
            memorization: What the model memorized of the training set that holds them, by which the audit knows the
                model as its own, and whether it was trained on that set.
            manifest: The canaries.

        Raises:
            SpecError: The model has another tokenizer than the canaries.
            DataError: The training set does not hold the canaries as they were registered, or holds a twin.
            KdmemError: The model cannot be scored.
        """
        self._check(memorization.scores, manifest)
        for scores, earlier in self.measured:
            if scores is memorization.scores and earlier.manifest == manifest.digest:
                return earlier
        scores, scorer = memorization.scores, self.scorer
        strings = score_strings(
            manifest,
            scores.model,
            scores.checkpoint,
            scores.training_set,
            scorer.extraction,
            scorer.store,
            scorer.run,
            scorer.progress,
        )
        over = digest_of([manifest.digest, scores.record.digest])
        canaries = measured(manifest, strings, memorization.label, memorization.confidence, over)
        self.measured.append((scores, canaries))
        return canaries

    def _check(self, scores: ScoreTable, manifest: Manifest) -> None:
        """Check that the training set, as it is now, holds the canaries; what was seen of the same bytes, read in the
        same way, holds.
        """
        content = training_fingerprint(scores.training_set)
        whole = replace(scores.training_set, sample=None, seed=0, stratify=None, stratum_sample=None)
        key = (manifest.digest, content or "", scores.checkpoint.text_digest, whole)
        if content is not None and key in self._checked:
            return
        offline = self.scorer.run.offline
        check_planted(
            manifest, scores.model, scores.checkpoint, scores.training_set, self.scorer.extraction, offline=offline
        )
        self._checked.add(key)
