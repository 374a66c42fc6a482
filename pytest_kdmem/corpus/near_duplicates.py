"""Finds examples of a training set that are nearly the same as others.

Of a conversation the answer alone counts, whatever prompt stands before it. The shingles of an example are its runs of
five tokens. Two different examples are near-duplicates if the Jaccard similarity of their shingles is at least 0.8.
MinHash (128 permutations in 32 bands) proposes each such pair with a probability above 0.9999; the shingles of proposed
pairs are compared in full, so every reported pair is one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from pytest_kdmem.base.arrays import TokenIds
from pytest_kdmem.corpus.examples import Example, in_batches

SHINGLE_TOKENS = 5
LEAST_JACCARD = 0.8
PERMUTATIONS = 128
BANDS = 32
SEED = 0
EXAMPLES_AT_ONCE = 1024

# What a stored result depends on beside the examples.
PROTOCOL = [SHINGLE_TOKENS, LEAST_JACCARD, PERMUTATIONS, BANDS, SEED]

Shingles = frozenset[bytes]


class NearDuplicate(NamedTuple):
    """An example that is nearly the same as another one.

    Attributes:
        example_id: Position in the training set.
        digest: Digest of the token ids.
        duplicate_of: Digest of the other example.
    """

    example_id: int
    digest: str
    duplicate_of: str


def near_duplicates(
    stream: Callable[[], Iterable[Example]],
    wanted: frozenset[str],
    among: Callable[[], Iterable[Example]] | None = None,
) -> Iterator[NearDuplicate]:
    """Find every example that is a near-duplicate of a wanted one, each with one of those.

    It passes over the examples twice, and keeps the wanted ones in memory.

    Args:
        stream: Gives all examples from the beginning at each call.
        wanted: Digests of the examples whose near-duplicates to find; they can be near-duplicates of each other.
        among: Gives a part of the examples that holds all wanted ones; as ``stream`` if None.
    """
    for example, proposed, own in _proposed(stream, wanted, among):
        # One match is enough: to compare all pairs of many similar examples would take too long.
        match = next((name for name, ids in proposed.items() if _are_near(own, ids)), None)
        if match is not None:
            yield NearDuplicate(example.position, example.digest, match)


def near_pairs(
    stream: Callable[[], Iterable[Example]],
    wanted: frozenset[str],
    among: Callable[[], Iterable[Example]],
) -> Iterator[tuple[str, frozenset[str]]]:
    """Find every example that is a near-duplicate of a wanted one, and every wanted one of which there is such.

    Args:
        stream: Gives all examples from the beginning at each call.
        wanted: Digests of the examples whose near-duplicates to find.
        among: Gives the examples that hold all wanted ones.

    Yields:
        the digest of each such example, and those of the wanted ones near it that were not found before.
    """
    found: set[str] = set()
    for example, proposed, own in _proposed(stream, wanted, among):
        is_near, new = False, set()
        for name, ids in proposed.items():
            if (name not in found or not is_near) and _are_near(own, ids):
                is_near = True
                new |= {name} - found
        if is_near:
            found |= new
            yield example.digest, frozenset(new)


def _proposed(
    stream: Callable[[], Iterable[Example]],
    wanted: frozenset[str],
    among: Callable[[], Iterable[Example]] | None,
) -> Iterator[tuple[Example, dict[str, TokenIds], Shingles]]:
    """Each example that may be near wanted ones, the token ids of those by their digests, and its own shingles."""
    if not wanted:
        return
    from rensa import RMinHashLSH

    wanted_ids: dict[str, TokenIds] = {}
    for example in (among or stream)():
        if (digest := example.digest) in wanted:
            wanted_ids.setdefault(digest, example.learned.copy())  # apart from what it was cut out of
            if len(wanted_ids) == len(wanted):
                break
    digests = list(wanted_ids)
    index = RMinHashLSH(threshold=LEAST_JACCARD, num_perm=PERMUTATIONS, num_bands=BANDS)
    for start in range(0, len(digests), EXAMPLES_AT_ONCE):
        names = digests[start : start + EXAMPLES_AT_ONCE]
        index.insert_many(_signatures([shingles(wanted_ids[name]) for name in names]), start)
    for examples in in_batches(stream(), EXAMPLES_AT_ONCE):
        sets = [shingles(example.learned) for example in examples]
        for example, own, candidates in zip(examples, sets, index.query_all(_signatures(sets)), strict=True):
            names = [name for at in sorted(candidates) if (name := digests[at]) != example.digest]
            if names:
                yield example, {name: wanted_ids[name] for name in names}, own


def _are_near(own: Shingles, ids: TokenIds) -> bool:
    return jaccard(own, shingles(ids)) >= LEAST_JACCARD


def shingles(ids: TokenIds) -> Shingles:
    """All runs of five tokens, as bytes; an example of fewer tokens is one shingle."""
    content, width = ids.astype("<i4").tobytes(), 4 * SHINGLE_TOKENS
    return frozenset(content[at : at + width] for at in range(0, max(4, len(content) - width + 4), 4))


def jaccard(first: Shingles, second: Shingles) -> float:
    """|A ∩ B| / |A ∪ B|."""
    shared = len(first & second)
    return shared / (len(first) + len(second) - shared)


def _signatures(sets: list[Shingles]) -> list[object]:
    from rensa import RMinHash

    signatures: list[object] = RMinHash.from_token_sets(list(map(list, sets)), PERMUTATIONS, SEED)
    return signatures
