"""Score table → Confirmation: the chosen rows are read again and put to every engine that is installed."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError, version

import numpy as np

from pytest_kdmem.base.digests import digest_of
from pytest_kdmem.base.progress import NO_PROGRESS, Progress
from pytest_kdmem.corpus.examples import Example, load_tokenizer, stream_examples
from pytest_kdmem.engines.load import device_to_itself, open_engine
from pytest_kdmem.engines.numerics import Numerics, installed_engines, resolve_numerics, unfit_for_vllm
from pytest_kdmem.engines.protocol import Metrics
from pytest_kdmem.engines.vllm.versions import DISTRIBUTIONS
from pytest_kdmem.errors import EngineError
from pytest_kdmem.scoring.confirmation import (
    AMBIGUOUS_SAMPLE,
    CONTROL_SAMPLE,
    Chosen,
    Claim,
    Confirmation,
    Statement,
    choose,
    compare,
)
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.scoring.table import ScoreTable
from pytest_kdmem.specs.runtime import RunSettings

# Raised when the same inputs are confirmed in another way than before.
PROTOCOL = 1
# What an engine is asked for: transformers, every column, which gives the margins of sure misses as well, so that any
# other margin of the row has one to be held against; vLLM tells no more than verdicts, and margins near them.
ASKED: dict[str, Metrics] = {"transformers": "all", "vllm": "verdict"}
# Examples at once. Batches that the engines size by themselves are powers of two, so none of theirs has this shape.
BATCH_SIZE = 24


def confirm(
    scores: ScoreTable,
    settings: RunSettings,
    store: ScoreStore,
    *,
    seed: int = 0,
    progress: Progress = NO_PROGRESS,
) -> Confirmation:
    """Put the ambiguous rows and a seeded control sample to every engine that is installed, scored and decoded.

    The engine that made the table is a witness too: it computes in batches of another shape, which may move its
    margins. Engines run one after the other in this process, under the executor ``ray`` as well. What was confirmed
    before with the same weights, rows, engines and versions is read from the store.

    Raises:
        EngineError: an engine does not run, or the training set is no longer the one that was scored.
        KdmemError: training set or store cannot be read.
    """
    chosen = choose(scores.rows, seed=seed)
    engines = witnesses_of(scores)
    key = _key(scores, chosen, engines, seed)
    with store.lock(key):
        if (content := store.read_confirmation(key)) is not None:
            with suppress(TypeError, ValueError):
                return Confirmation.from_json(content)
        examples = read_again(scores, chosen.claims, offline=settings.offline)
        progress.start(f"{scores.model.name} confirmed", 2 * len(engines) * len(examples))
        try:
            heard = [
                statement
                for numerics in engines
                for statement in _hear(numerics, scores, examples, in_other_batches(settings, len(examples)), progress)
            ]
        finally:
            progress.finish()
        confirmation = compare(chosen, heard, tolerance=scores.tolerance)
        store.write_confirmation(key, confirmation.to_json())
    return confirmation


def witnesses_of(scores: ScoreTable) -> list[Numerics]:
    """Numerics of every installed engine that runs this model, on the table's device and in its dtype."""
    made = scores.numerics
    fits = not unfit_for_vllm(scores.model, scores.checkpoint) and _vllm_device() == made.device
    return [
        resolve_numerics(
            scores.model, scores.checkpoint, engine=name, device=made.device, dtype=made.dtype, metrics=ASKED[name]
        )
        for name in installed_engines()
        if name != "vllm" or fits or "vllm" in made.engine
    ]


def _vllm_device() -> str | None:
    """What the installed vLLM was built for, as its wheel tells: it runs on nothing else."""
    for name in DISTRIBUTIONS:
        with suppress(PackageNotFoundError):
            found = version(name)
            return "cpu" if name.endswith("cpu") or "+cpu" in found else "cuda"
    return None


def read_again(scores: ScoreTable, claims: Sequence[Claim], *, offline: bool) -> list[Example]:
    """The examples that claims are about, read no further than the last of them.

    A position is a place in the whole training set, sampled or not, so they are found without drawing again.

    Raises:
        EngineError: one is missing or holds other tokens than when it was scored.
    """
    tokenizer = load_tokenizer(scores.checkpoint.folder, trust_remote_code=scores.model.trust_remote_code)
    wanted = {claim.example_id: claim for claim in claims}
    found: list[Example] = []
    for example in stream_examples(scores.training_set, tokenizer, scores.extraction, offline=offline):
        if example.position in wanted:
            found.append(example)
            if len(found) == len(wanted):
                break
    digests = {example.position: example.digest for example in found}
    if changed := [claim.example_id for claim in claims if digests.get(claim.example_id) != claim.digest]:
        raise EngineError(
            f"The examples of {scores.training_set.source} were expected as they were scored, and {len(changed)} of the"
            f" {len(claims)} to confirm are missing or changed (first: example {changed[0]}); score it again as it is."
        )
    return found


def in_other_batches(settings: RunSettings, examples: int) -> RunSettings:
    """The settings with batches of another shape than these examples were scored in, and no larger ones."""
    largest = BATCH_SIZE if settings.batch_size is None else min(BATCH_SIZE, settings.batch_size - 1)
    return replace(settings, batch_size=max(1, min(largest, examples // 2)))  # nor all of a small set at once


def _hear(
    numerics: Numerics,
    scores: ScoreTable,
    examples: Sequence[Example],
    settings: RunSettings,
    progress: Progress,
) -> list[Statement]:
    """What one engine says of the examples, in both ways."""
    extraction = scores.extraction
    first, last = extraction.prefix_tokens, extraction.scored_tokens
    with (
        device_to_itself(numerics.device),
        closing(open_engine(scores.model, scores.checkpoint, numerics, extraction, settings)) as engine,
    ):
        again = engine.score(examples, extraction, ASKED[numerics.engine], progress.advance)
        spoken = engine.decode([example.ids[:first] for example in examples], extraction.suffix_tokens)
    progress.advance(len(examples))
    reproduced = [
        np.array_equal(continuation, example.ids[first:last])
        for example, continuation in zip(examples, spoken, strict=True)
    ]
    return [
        Statement(numerics.engine, "scored", again.memorized, again.margin.astype(np.float64)),
        Statement(numerics.engine, "decoded", np.array(reproduced, dtype=bool), np.full(len(examples), np.nan)),
    ]


def _key(scores: ScoreTable, chosen: Chosen, engines: Sequence[Numerics], seed: int) -> str:
    """Of all that a confirmation is a function of, the claims themselves included."""
    run = [scores.checkpoint.digest, scores.record.digest, scores.extraction.digest, scores.numerics.digest]
    asked = [[numerics.digest, ASKED[numerics.engine]] for numerics in engines]
    drawn = [seed, CONTROL_SAMPLE, AMBIGUOUS_SAMPLE]
    return digest_of([PROTOCOL, run, asked, drawn, scores.tolerance, asdict(chosen)])
