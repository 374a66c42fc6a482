"""Scores canaries and their twins by the scoring of every audit, and computes what the model shows of them."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pytest_kdmem.base.progress import NO_PROGRESS, Progress
from pytest_kdmem.canaries.check import check_copies, count_copies
from pytest_kdmem.canaries.exposure import TierFigures, tier_figures
from pytest_kdmem.canaries.inject import canary_file
from pytest_kdmem.canaries.manifest import Manifest
from pytest_kdmem.corpus.tokenizer import open_tokenizer
from pytest_kdmem.errors import DataError, SpecError
from pytest_kdmem.scoring.score import score
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.scoring.table import ScoreTable
from pytest_kdmem.specs.checkpoint import Checkpoint, open_checkpoint
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.runtime import RunSettings


@dataclass(frozen=True)
class CanaryAudit:
    """What a model shows of its canaries.

    Attributes:
        manifest: The canaries.
        tiers: Figures for each number of copies, ascending.
        twins: Number of twins.
    """

    manifest: Manifest
    tiers: tuple[TierFigures, ...]
    twins: int


def check_tokenizer(manifest: Manifest, checkpoint: Checkpoint, source: str) -> None:
    """Raise SpecError unless canaries are made of the tokens of a model's tokenizer."""
    if checkpoint.tokenizer_digest != manifest.tokenizer:
        raise SpecError(
            f"The tokenizer that the canaries were made of was expected of {source}; found another: make canaries of"
            " its own before it is trained."
        )


def audit_canaries(
    manifest: Manifest,
    model: Model,
    training_set: TrainingSet,
    extraction: Extraction,
    store: ScoreStore,
    *,
    settings: RunSettings | None = None,
    fpr: float = 0.01,
    confidence: float = 0.95,
    progress: Progress = NO_PROGRESS,
) -> CanaryAudit:
    """Check that a training set holds the canaries and no twin, and rank them by a model's log-probabilities.

    Each string is scored as a row of its own, whatever training packed it with: all are scored alike.

    Args:
        manifest: The canaries as they were registered.
        model: The model to audit.
        training_set: The training set with the canaries, as training read it.
        extraction: Lengths; the window is that of training.
        store: Where scores are kept.
        settings: How the model is run; the defaults if None.
        fpr: False positive rate at which canaries are found.
        confidence: Confidence level of each one-sided bound.
        progress: Receives the number of strings done.

    Raises:
        SpecError: The model has another tokenizer, or there are too few twins.
        DataError: The training set does not hold the canaries as they were registered.
        KdmemError: The model cannot be scored.
    """
    settings = settings or RunSettings()
    checkpoint = open_checkpoint(model, offline=settings.offline)
    check_tokenizer(manifest, checkpoint, model.source)
    tokenizer = open_tokenizer(model, checkpoint, training_set)
    copies = count_copies(manifest, training_set, tokenizer, extraction, offline=settings.offline)
    check_copies(manifest, copies, training_set.source)
    scores = _score_strings(manifest, model, checkpoint, training_set, extraction, store, settings, progress)
    return CanaryAudit(manifest, *_figures(manifest, scores, model.name, fpr, confidence))


def _score_strings(
    manifest: Manifest,
    model: Model,
    checkpoint: Checkpoint,
    training_set: TrainingSet,
    extraction: Extraction,
    store: ScoreStore,
    settings: RunSettings,
    progress: Progress,
) -> ScoreTable:
    """Score the canaries and twins, each as the row that it is in the training set."""
    lengths = Extraction(
        manifest.prefix_tokens,
        manifest.suffix_tokens,
        max(extraction.window_tokens, manifest.prefix_tokens + manifest.suffix_tokens),
    )
    with tempfile.TemporaryDirectory(prefix="kdmem-canaries-") as folder:
        scored_set = canary_file(manifest.canaries, training_set, Path(folder))
        return score(
            model,
            replace(scored_set, answer_tokens=None),
            lengths,
            store,
            checkpoint=checkpoint,
            settings=replace(settings, accept_reading="noise"),
            progress=progress,
        )


def _figures(
    manifest: Manifest, scores: ScoreTable, subject: str, fpr: float, confidence: float
) -> tuple[tuple[TierFigures, ...], int]:
    """The figures for each number of copies, and the number of twins.

    Raises:
        DataError: A canary or twin has no log-probability.
    """
    logprobs = scores.rows["logprob"].to_numpy().astype(np.float64)
    if len(logprobs) != len(manifest.canaries) or not np.isfinite(logprobs).all():
        raise DataError(
            f"A log-probability of each of {len(manifest.canaries)} canaries and twins was expected; found"
            f" {int(np.isfinite(logprobs).sum())}: read the set as training did (window, columns, template)."
        )
    recited = scores.rows["memorized"].to_numpy() | scores.rows["ambiguous"].to_numpy()
    planned = np.array([canary.copies for canary in manifest.canaries])
    twins = logprobs[planned == 0]
    tiers = tuple(
        tier_figures(
            tier,
            logprobs[planned == tier],
            twins,
            recited[planned == tier],
            subject=subject,
            fpr=fpr,
            confidence=confidence,
        )
        for tier in manifest.tiers
    )
    return tiers, len(twins)
