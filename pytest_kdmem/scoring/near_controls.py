"""Finds the controls that are nearly the same as text of a training set, and that text, and stores what it found."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from pytest_kdmem.base.digests import digest_of
from pytest_kdmem.corpus.examples import Example, stream_examples
from pytest_kdmem.corpus.near_duplicates import PROTOCOL, near_pairs
from pytest_kdmem.corpus.tokenizer import open_tokenizer
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.scoring.table import ScoreTable


class NearSides(NamedTuple):
    """Digests of the examples of two sets that are near-duplicates of an example of the other one."""

    members: frozenset[str]
    controls: frozenset[str]


def near_controls(
    members: ScoreTable,
    controls: ScoreTable,
    digests: Collection[str],
    store: ScoreStore,
    *,
    offline: bool = False,
) -> NearSides:
    """Find which controls are near-duplicates of an example of a training set, and of which ones.

    All of the training set is looked at, though a sample of it was scored.

    Args:
        members: Scores over the training set.
        controls: Scores over the control set, by a model of the same tokenizer.
        digests: Digests of the distinct controls that the training set does not hold.
        store: Where the outcome is read and stored.
        offline: Whether the sets must be read without a connection.

    Raises:
        DataError: A set can no longer be read.
        StoreError: The store cannot be written.
    """
    read_as = (members.record.read_as, controls.record.read_as)
    key = digest_of(["near controls", PROTOCOL, *read_as, *sorted(digests)])
    stored = store.read_entry("overlaps", key) if all(read_as) else None
    if stored is not None and (found := _decoded(stored, digests)) is not None:
        return found

    def examples(scores: ScoreTable) -> Iterator[Example]:
        tokenizer = open_tokenizer(scores.model, scores.checkpoint, scores.training_set)
        stream = stream_examples(scores.training_set, tokenizer, scores.extraction, offline=offline)
        return (example for example in stream if example.is_scored(scores.extraction))

    pairs = list(near_pairs(lambda: examples(members), frozenset(digests), lambda: examples(controls)))
    found = NearSides(frozenset(digest for digest, _ in pairs), frozenset().union(*(near for _, near in pairs)))
    if all(read_as):
        store.write_entry("overlaps", key, {name: sorted(held) for name, held in found._asdict().items()})
    return found


def _decoded(stored: dict[str, Any], digests: Collection[str]) -> NearSides | None:
    """What was stored, or None if it is no outcome over these controls."""
    sides = [stored.get(name) for name in NearSides._fields]
    if not all(isinstance(side, list) and all(isinstance(digest, str) for digest in side) for side in sides):
        return None
    members, controls = (frozenset(side or ()) for side in sides)
    found = NearSides(members, controls)
    return found if found.controls <= frozenset(digests) else None
