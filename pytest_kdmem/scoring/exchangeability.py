"""Tests without any model whether two scored sets are of one distribution, and stores the outcome.

The store has neither text nor token ids, so some examples of both sets are read again, once. They are drawn by their
digests, which are as good as random.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from pytest_kdmem.base.arrays import TokenIds
from pytest_kdmem.base.digests import digest_of
from pytest_kdmem.base.typed_json import from_json, to_json
from pytest_kdmem.corpus.blind_classifier import PROTOCOL, BlindTest, blind_test
from pytest_kdmem.corpus.examples import stream_examples
from pytest_kdmem.corpus.tokenizer import open_tokenizer
from pytest_kdmem.errors import DataError
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.scoring.table import ScoreTable

# Most examples that are compared of each set; the time grows with their cube.
MOST_EXAMPLES = 1_000
# Sets that were drawn alike are taken for different ones with this probability.
LEVEL = 0.01


def exchangeability(
    first: tuple[ScoreTable, Collection[str]],
    second: tuple[ScoreTable, Collection[str]],
    store: ScoreStore,
    *,
    offline: bool = False,
) -> BlindTest:
    """Return how well two sets are told apart without a model, from the store if it was tested before.

    Args:
        first, second: Scores over either set by models of one tokenizer, and the digests of the distinct scored
            examples that the other set lacks.
        store: Where the outcome is read and stored.
        offline: Whether the sets must be read without a connection.

    Raises:
        DataError: A set can no longer be read, or holds other examples than those that were scored.
        StoreError: The store cannot be written.
    """
    sides = (first, second)
    key = digest_of(
        [*PROTOCOL, MOST_EXAMPLES, *([scores.record.digest, digest_of(sorted(digests))] for scores, digests in sides)]
    )
    if (outcome := _read(store, key)) is not None:
        return outcome
    size = min(MOST_EXAMPLES, *(len(digests) for _, digests in sides))
    outcome = blind_test(*(_read_again(scores, sorted(digests)[:size], offline=offline) for scores, digests in sides))
    store.write_entry("exchangeability", key, to_json(outcome))
    return outcome


def _read(store: ScoreStore, key: str) -> BlindTest | None:
    content = store.read_entry("exchangeability", key)
    try:
        return from_json(BlindTest, content) if content is not None else None
    except (TypeError, ValueError):
        return None


def _read_again(scores: ScoreTable, digests: Sequence[str], *, offline: bool) -> list[TokenIds]:
    """Return the token ids of some examples of the set that was scored, in its order."""
    tokenizer = open_tokenizer(scores.model, scores.checkpoint, scores.training_set)
    missing, ids = set(digests), []
    for example in stream_examples(scores.training_set, tokenizer, scores.extraction, offline=offline):
        if example.digest in missing:
            missing.remove(example.digest)
            ids.append(example.ids.copy())  # apart from what it was cut out of
        if not missing:
            return ids
    raise DataError(
        f"The examples of {scores.training_set.source} that were scored were expected, and {len(missing)} of"
        f" {len(digests)} are no longer there: the set was changed; audit it again."
    )
