"""Looks for examples of another set in all of a training set of which a sample was scored, and stores their number."""

from __future__ import annotations

from collections.abc import Collection

from pytest_kdmem.base.digests import digest_of
from pytest_kdmem.corpus.examples import stream_examples
from pytest_kdmem.corpus.tokenizer import open_tokenizer
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.scoring.table import ScoreTable

# Raised when the same sets give another number than before.
PROTOCOL = 1


def held_beyond_sample(
    scores: ScoreTable, digests: Collection[str], store: ScoreStore, *, offline: bool = False
) -> int:
    """Return how many examples of another set stand in a training set, where the sample that was scored has none.

    Args:
        scores: Scores over the training set; if they are of all of it, nothing lies beyond them.
        digests: Digests of distinct examples that the scores lack.
        store: Where the number is read and stored.
        offline: Whether the set must be read without a connection.

    Raises:
        DataError: The set can no longer be read.
        StoreError: The store cannot be written.
    """
    record = scores.record
    if record.exhaustive:
        return 0
    key = digest_of(["beyond sample", PROTOCOL, record.read_as, *sorted(digests)])
    stored = (store.read_entry("overlaps", key) or {}).get("held") if record.read_as else None
    if isinstance(stored, int) and 0 <= stored <= len(digests):
        return stored
    tokenizer, wanted = open_tokenizer(scores.model, scores.checkpoint, scores.training_set), set(digests)
    examples = stream_examples(scores.training_set, tokenizer, scores.extraction, offline=offline)
    held = len({example.digest for example in examples if example.digest in wanted})
    if record.read_as:
        store.write_entry("overlaps", key, {"held": held})
    return held
