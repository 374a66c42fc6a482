"""Checks a score table's verdicts with every installed engine, and stores the outcome."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError

import numpy as np

from pytest_kdmem.base.digests import digest_of
from pytest_kdmem.base.progress import NO_PROGRESS, Progress
from pytest_kdmem.base.versions import installed_version
from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.engines.load import device_to_itself, open_engine
from pytest_kdmem.engines.numerics import Numerics, installed_engines, resolve_numerics, unfit_for_vllm
from pytest_kdmem.engines.protocol import Metrics
from pytest_kdmem.engines.vllm.versions import DISTRIBUTIONS
from pytest_kdmem.scoring.check_sample import (
    AMBIGUOUS_SAMPLE,
    CONTROL_SAMPLE,
    CheckSample,
    choose_sample,
    without_screened_margins,
)
from pytest_kdmem.scoring.confirmation import Confirmation, EngineVerdicts, compare_verdicts
from pytest_kdmem.scoring.read_examples import read_examples
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.scoring.table import ScoreTable
from pytest_kdmem.specs.runtime import RunSettings

# Raised when the same inputs are checked in another way than before.
PROTOCOL = 1
# What each engine computes. transformers computes every column, which includes the margins of sure misses, so that any
# other margin of a row has one to be compared with. vLLM gives verdicts, and margins near them only.
METRICS: dict[str, Metrics] = {"transformers": "all", "vllm": "verdict"}
# Largest batch. The engines choose powers of two by themselves, so none of their batches has this shape.
BATCH_SIZE = 24


def confirm(
    scores: ScoreTable,
    settings: RunSettings,
    store: ScoreStore,
    *,
    seed: int = 0,
    progress: Progress = NO_PROGRESS,
) -> Confirmation:
    """Check the ambiguous rows and a random sample of the others with every installed engine, scored and decoded.

    The engine that made the table is run again as well: in batches of another shape, which may move its margins.
    The engines run one after the other in this process, under the executor ``ray`` too. An earlier outcome for the
    same weights, rows, engines and versions is read from the store.

    Args:
        scores: The table to check.
        settings: How the engines are run.
        store: Where the outcome is kept.
        seed: Seed of the random sample.
        progress: Receives the number of examples checked.

    Raises:
        EngineError: An engine does not run, or the training set has changed since it was scored.
        KdmemError: The training set or the store cannot be read.
    """
    sample = choose_sample(scores.rows, seed=seed)
    if scores.screening is not None:
        sample = without_screened_margins(sample, scores.screening.band)
    engines = engines_to_run(scores)
    key = _key(scores, sample, engines, seed)
    with store.lock(key):
        if (content := store.read_entry("confirmations", key)) is not None:
            with suppress(TypeError, ValueError):
                return Confirmation.from_json(content)
        examples = read_examples(scores, sample.rows, offline=settings.offline)
        settings = with_other_batches(settings, len(examples))
        progress.start(f"{scores.model.name} confirmed", 2 * len(engines) * len(examples))
        try:
            engine_verdicts = [
                verdicts
                for numerics in engines
                for verdicts in _run_engine(numerics, scores, examples, settings, progress)
            ]
        finally:
            progress.finish()
        confirmation = compare_verdicts(sample, engine_verdicts, tolerance=scores.tolerance)
        store.write_entry("confirmations", key, confirmation.to_json())
    return confirmation


def engines_to_run(scores: ScoreTable) -> list[Numerics]:
    """Numerics of every installed engine that runs the table's model, on the table's device and in its dtype."""
    used = scores.numerics
    vllm_fits = not unfit_for_vllm(scores.model, scores.checkpoint) and _vllm_device() == used.device
    return [
        resolve_numerics(
            scores.model, scores.checkpoint, engine=name, device=used.device, dtype=used.dtype, metrics=METRICS[name]
        )
        for name in installed_engines()
        if name != "vllm" or vllm_fits or "vllm" in used.engine
    ]


def _vllm_device() -> str | None:
    """The one device that the installed vLLM was built for, read from the name and version of its wheel."""
    for name in DISTRIBUTIONS:
        with suppress(PackageNotFoundError):
            return "cpu" if name.endswith("cpu") or "+cpu" in installed_version(name) else "cuda"
    return None


def with_other_batches(settings: RunSettings, examples: int) -> RunSettings:
    """The settings with a batch size that differs from the one used for scoring, and is no larger."""
    largest = BATCH_SIZE if settings.batch_size is None else min(BATCH_SIZE, settings.batch_size - 1)
    # Half of the examples at most: a small set may have been scored in one batch.
    return replace(settings, batch_size=max(1, min(largest, examples // 2)))


def _run_engine(
    numerics: Numerics,
    scores: ScoreTable,
    examples: Sequence[Example],
    settings: RunSettings,
    progress: Progress,
) -> list[EngineVerdicts]:
    """One engine's verdicts on the examples by both methods."""
    extraction = scores.extraction
    progress.status(f"loading the model for {numerics.engine}")
    with (
        device_to_itself(numerics.device),
        closing(open_engine(scores.model, scores.checkpoint, numerics, extraction, settings)) as engine,
    ):
        progress.status("")
        rescored = engine.score(examples, extraction, METRICS[numerics.engine], progress.advance)
        continuations = engine.decode(
            [example.ids[: example.start(extraction)] for example in examples], extraction.suffix_tokens
        )
    progress.advance(len(examples))
    reproduced = [
        np.array_equal(continuation, example.ids[example.start(extraction) : example.end(extraction)])
        for example, continuation in zip(examples, continuations, strict=True)
    ]
    no_margins = np.full(len(examples), np.nan)
    return [
        EngineVerdicts(numerics.engine, "scored", rescored.memorized, rescored.margin.astype(np.float64)),
        EngineVerdicts(numerics.engine, "decoded", np.array(reproduced, dtype=bool), no_margins),
    ]


def _key(scores: ScoreTable, sample: CheckSample, engines: Sequence[Numerics], seed: int) -> str:
    """Digest of everything that a confirmation depends on, the table's verdicts included."""
    run = [scores.checkpoint.digest, scores.record.digest, scores.extraction.digest, scores.numerics.digest]
    metrics = [[numerics.digest, METRICS[numerics.engine]] for numerics in engines]
    sizes = [seed, CONTROL_SAMPLE, AMBIGUOUS_SAMPLE]
    # The names of these fields are part of the digest, so they stay: stored confirmations are found by it.
    content = {
        "claims": [asdict(row) for row in sample.rows],
        "examples": sample.examples,
        "ambiguous": sample.ambiguous,
    }
    return digest_of([PROTOCOL, run, metrics, sizes, scores.tolerance, content])
