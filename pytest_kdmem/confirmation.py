"""Verdicts of the one pass, put to the test of real greedy decoding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pytest_kdmem.corpus.examples import load_tokenizer
from pytest_kdmem.corpus.shards import CorpusReader
from pytest_kdmem.errors import EngineError
from pytest_kdmem.score_table import ScoreTable
from pytest_kdmem.scoring import RunSettings

CONTROL_SAMPLE = 64


@dataclass(frozen=True)
class Disagreement:
    """An example on which teacher forcing and decoding differ; ``margin`` in logits, None of a sure early miss."""

    example_id: int
    scored_memorized: bool
    decoded_memorized: bool
    ambiguous: bool
    margin: float | None


@dataclass(frozen=True)
class Confirmation:
    """``checked`` examples were decoded, of them ``ambiguous_checked`` ambiguous ones."""

    checked: int
    ambiguous_checked: int
    disagreements: tuple[Disagreement, ...]

    def check(self, subject: str) -> None:
        """Raise EngineError if a disagreement lies outside the band that the run claimed."""
        outside = [one for one in self.disagreements if not one.ambiguous]
        if outside:
            worst = outside[0]
            raise EngineError(
                f"Greedy decoding was expected to agree with the scores of {subject} outside the ambiguous band, and"
                f" differs on {len(outside)} of {self.checked} examples (first: example {worst.example_id}, margin"
                f" {worst.margin}); these scores are not to be trusted on this device: try --kdmem-dtype float32."
            )


def confirm(scores: ScoreTable, settings: RunSettings, *, seed: int = 0) -> Confirmation:
    """Decode the ambiguous examples and a seeded sample of as many memorized and not memorized ones.

    Raises:
        EngineError: the model does not run.
    """
    rows = {row["example_id"]: row for row in scores.rows.to_pylist() if row["status"] == "scored"}
    random = np.random.default_rng(seed)
    chosen = {index for index, row in rows.items() if row["ambiguous"]}
    ambiguous = len(chosen)
    for memorized in (True, False):
        pool = sorted(index for index, row in rows.items() if row["memorized"] is memorized)
        chosen |= set(random.permutation(pool)[:CONTROL_SAMPLE].tolist())
    from pytest_kdmem.engines.transformers import TransformersEngine

    extraction, checkpoint = scores.extraction, scores.checkpoint
    tokenizer = load_tokenizer(checkpoint.folder, trust_remote_code=scores.model.trust_remote_code)
    reader = CorpusReader(scores.training_set, tokenizer, extraction, offline=settings.offline)
    examples = [example for shard in reader for example in shard.examples if example.position in chosen]
    engine = TransformersEngine(scores.model, checkpoint, scores.numerics, batch_size=settings.batch_size)
    try:
        first, last = extraction.prefix_tokens, extraction.scored_tokens
        decoded = engine.decode([example.ids[:first] for example in examples], extraction.suffix_tokens)
    finally:
        engine.close()
    differing = []
    for example, continuation in zip(examples, decoded, strict=True):
        row, reproduced = rows[example.position], bool(np.array_equal(continuation, example.ids[first:last]))
        if reproduced != row["memorized"]:
            differing.append(
                Disagreement(example.position, row["memorized"], reproduced, row["ambiguous"], row["margin"])
            )
    return Confirmation(len(examples), ambiguous, tuple(differing))
