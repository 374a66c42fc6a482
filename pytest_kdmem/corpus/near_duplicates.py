"""Which examples of a training set are nearly some of its others: MinHash finds them, their shingles decide.

An example is known by its shingles, runs of five tokens; two are near-duplicates if they share at least 80 % of them
(Jaccard), but are not the same. MinHash (128 permutations in 32 bands) proposes such pairs with a probability above
0.9999; they are compared in full, so none is reported that is not one.
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

# What a stored finding depends on beside the examples.
PROTOCOL = [SHINGLE_TOKENS, LEAST_JACCARD, PERMUTATIONS, BANDS, SEED]

Shingles = frozenset[bytes]


class NearDuplicate(NamedTuple):
    """An example, by position and digest, that is nearly another one, whose digest is ``of``."""

    example_id: int
    digest: str
    of: str


def near_duplicates(
    stream: Callable[[], Iterable[Example]],
    wanted: frozenset[str],
    among: Callable[[], Iterable[Example]] | None = None,
) -> Iterator[NearDuplicate]:
    """Of a training set, every example that is a near-duplicate of a wanted one, named with one of those.

    Two passes, in memory for the wanted examples.

    Args:
        stream: gives the examples anew at each call.
        wanted: digests of those whose near-duplicates are looked for; they may be near-duplicates of each other.
        among: gives some of the examples, among which all wanted ones are; the stream if None.
    """
    if not wanted:
        return
    from rensa import RMinHashLSH

    known: dict[str, TokenIds] = {}
    for example in (among or stream)():
        if (digest := example.digest) in wanted:
            known.setdefault(digest, example.ids)
            if len(known) == len(wanted):
                break
    digests = list(known)
    index = RMinHashLSH(threshold=LEAST_JACCARD, num_perm=PERMUTATIONS, num_bands=BANDS)
    for start in range(0, len(digests), EXAMPLES_AT_ONCE):
        names = digests[start : start + EXAMPLES_AT_ONCE]
        index.insert_many(_signatures([shingles(known[name]) for name in names]), start)
    for examples in in_batches(stream(), EXAMPLES_AT_ONCE):
        sets = [shingles(example.ids) for example in examples]
        for example, own, candidates in zip(examples, sets, index.query_all(_signatures(sets)), strict=True):
            digest = example.digest
            others = (name for at in sorted(candidates) if (name := digests[at]) != digest)
            # The first will do: of many that are all alike, comparing each with each would never end.
            alike = next((name for name in others if jaccard(own, shingles(known[name])) >= LEAST_JACCARD), None)
            if alike is not None:
                yield NearDuplicate(example.position, digest, alike)


def shingles(ids: TokenIds) -> Shingles:
    """All runs of five tokens, as bytes; what is shorter is one shingle."""
    content, width = ids.astype("<i4").tobytes(), 4 * SHINGLE_TOKENS
    return frozenset(content[at : at + width] for at in range(0, max(4, len(content) - width + 4), 4))


def jaccard(first: Shingles, second: Shingles) -> float:
    """|A ∩ B| / |A ∪ B|."""
    shared = len(first & second)
    return shared / (len(first) + len(second) - shared)


def _signatures(sets: list[Shingles]) -> list[object]:
    from rensa import RMinHash

    found: list[object] = RMinHash.from_token_sets([list(one) for one in sets], PERMUTATIONS, SEED)
    return found
