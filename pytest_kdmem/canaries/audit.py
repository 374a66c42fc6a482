"""Scores canaries and their twins by the scoring of every audit, once the training set was seen to hold them."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from pytest_kdmem.base.progress import NO_PROGRESS, Progress
from pytest_kdmem.canaries.check import check_copies, count_copies
from pytest_kdmem.canaries.manifest import Manifest
from pytest_kdmem.canaries.measured import MeasuredCanaries
from pytest_kdmem.canaries.strings import strings_alone
from pytest_kdmem.corpus.tokenizer import open_tokenizer
from pytest_kdmem.errors import DataError, DryRun, SpecError
from pytest_kdmem.scoring.score import score
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.scoring.table import ScoreTable
from pytest_kdmem.specs.checkpoint import Checkpoint, open_checkpoint
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.runtime import RunSettings


def check_tokenizer(manifest: Manifest, checkpoint: Checkpoint, source: str) -> None:
    """Raise SpecError unless canaries are made of the tokens of a model's tokenizer."""
    if checkpoint.tokenizer_digest != manifest.tokenizer:
        raise SpecError(
            f"The tokenizer that the canaries were made of was expected of {source}; found another: make canaries of"
            " its own before it is trained."
        )


def check_planted(
    manifest: Manifest,
    model: Model,
    checkpoint: Checkpoint,
    training_set: TrainingSet,
    extraction: Extraction,
    *,
    offline: bool = False,
) -> None:
    """Check that a whole training set, also where a sample of it is declared, holds the canaries and no twin.

    Raises:
        SpecError: The model has another tokenizer than the canaries.
        DataError: The training set does not hold the canaries as they were registered, or cannot be read.
    """
    check_tokenizer(manifest, checkpoint, model.source)
    tokenizer = open_tokenizer(model, checkpoint, training_set)
    whole_set = replace(training_set, sample=None)
    copies = count_copies(manifest, whole_set, tokenizer, extraction, offline=offline)
    check_copies(manifest, copies, training_set.source)


def audit_canaries(
    manifest: Manifest,
    model: Model,
    training_set: TrainingSet,
    extraction: Extraction,
    store: ScoreStore,
    *,
    settings: RunSettings | None = None,
    confidence: float = 0.95,
    progress: Progress = NO_PROGRESS,
) -> MeasuredCanaries:
    """Check that a training set holds the canaries and no twin, and measure what a model shows of them.

    Args:
        manifest: The canaries as they were registered.
        model: The model to audit.
        training_set: The training set with the canaries, as training read it.
        extraction: Lengths; the window is that of training.
        store: Where scores are kept.
        settings: How the model is run; the defaults if None.
        confidence: Confidence level of each one-sided bound.
        progress: Receives the number of strings done.

    Raises:
        SpecError: The model has another tokenizer.
        DataError: The training set does not hold the canaries as they were registered.
        KdmemError: The model cannot be scored.
    """
    settings = settings or RunSettings()
    checkpoint = open_checkpoint(model, offline=settings.offline)
    check_planted(manifest, model, checkpoint, training_set, extraction, offline=settings.offline)
    scores = score_strings(manifest, model, checkpoint, training_set, extraction, store, settings, progress)
    return measured(manifest, scores, model.name, confidence)


def score_strings(
    manifest: Manifest,
    model: Model,
    checkpoint: Checkpoint,
    training_set: TrainingSet,
    extraction: Extraction,
    store: ScoreStore,
    settings: RunSettings,
    progress: Progress,
) -> ScoreTable:
    """Score canaries and twins, each as a row of its own, whatever training packed it with: all are scored alike.

    Only the transformers engine gives log-probabilities, and the few strings are scored in this process.

    Raises:
        DryRun: Only a forecast was asked for.
        KdmemError: The model cannot be scored.
    """
    lengths = Extraction(
        manifest.prefix_tokens,
        manifest.suffix_tokens,
        max(extraction.window_tokens, manifest.prefix_tokens + manifest.suffix_tokens),
    )
    local_settings = replace(
        settings, engine="transformers", tensor_parallel=1, executor="local", part=None, accept_reading="noise"
    )
    with tempfile.TemporaryDirectory(prefix="kdmem-canaries-") as folder:
        strings = strings_alone(manifest.canaries, training_set, Path(folder), offline=settings.offline)
        try:
            return score(
                model,
                replace(strings, answer_tokens=None),
                lengths,
                store,
                checkpoint=checkpoint,
                settings=local_settings,
                progress=progress,
            )
        except DryRun as dry_run:  # which would name the file of the strings
            named = [replace(forecast, training_set="canaries and their twins") for forecast in dry_run.forecasts]
            raise DryRun(named) from None


def measured(
    manifest: Manifest, scores: ScoreTable, subject: str, confidence: float, over: str = ""
) -> MeasuredCanaries:
    """Return what the scores of the strings tell.

    Args:
        manifest: The canaries.
        scores: Scores of canaries and twins, in the order of the manifest.
        subject: Role or name of the model.
        confidence: Confidence level of each one-sided bound.
        over: Digest of the manifest and of the training set that holds the canaries.

    Raises:
        DataError: A canary or twin has no log-probability.
    """
    logprobs = scores.rows["logprob"].to_numpy().astype(np.float64)
    if len(logprobs) != len(manifest.canaries) or not np.isfinite(logprobs).all():
        raise DataError(
            f"A log-probability of each of {len(manifest.canaries)} canaries and twins was expected; found"
            f" {int(np.isfinite(logprobs).sum())}: read the set as training did (window, columns, template)."
        )
    return MeasuredCanaries(
        subject,
        manifest.digest,
        np.array([canary.copies for canary in manifest.canaries], np.int64),
        logprobs,
        scores.rows["memorized"].to_numpy(),
        scores.rows["ambiguous"].to_numpy(),
        confidence,
        over or manifest.digest,
        scores.checkpoint.digest,
    )
