"""Samples and strata are those of sorting all examples by their hashes, and hold copies once with all their places."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict

import numpy as np
import pytest

from pytest_kdmem.corpus.drawing import StrataDraw, draw
from pytest_kdmem.corpus.examples import Example

GENERATOR = np.random.default_rng(5)
NAMES = GENERATOR.zipf(1.4, 500).clip(max=150).tolist()
EXAMPLES = [Example(at + 10, np.full(4, name, dtype=np.int32)) for at, name in enumerate(NAMES)]
GROUPS = np.concatenate([np.zeros(10, np.int32), GENERATOR.choice(6, 500, p=[0.5, 0.3, 0.1, 0.06, 0.03, 0.01])])
SEED = 8


def places() -> dict[int, list[int]]:
    """Positions of all copies of each text."""
    positions = defaultdict(list)
    for example, name in zip(EXAMPLES, NAMES, strict=True):
        positions[name].append(example.position)
    return positions


def ranked(names: set[int]) -> list[int]:
    """Texts by their keyed hashes, the least first."""
    key = SEED.to_bytes(16, "little")

    def rank(name: int) -> str:
        return hashlib.blake2b(np.full(4, name, "<i4").tobytes(), digest_size=16, key=key).hexdigest()

    return sorted(names, key=rank)


@pytest.mark.parametrize("size", [1, 7, 40, 10_000])
def test_a_sample_is_the_texts_of_least_hash_with_all_their_copies(size: int) -> None:
    drawn = draw(EXAMPLES, size, SEED)
    expected = {name: places()[name] for name in ranked(set(NAMES))[:size]}
    assert [example.position for example in drawn.examples] == sorted(copies[0] for copies in expected.values())
    assert drawn.copies == tuple(sorted(tuple(copies) for copies in expected.values() if len(copies) > 1))
    assert drawn.exhaustive == (size >= len(set(NAMES)))


def strata_by_hand(by: str) -> dict[int, set[int]]:
    members = defaultdict(set)
    if by == "copies":
        for name, copies in Counter(NAMES).items():
            members[(copies >= 2) + (copies >= 4) + (copies >= 16)].add(name)
    else:
        for example, name in zip(EXAMPLES, NAMES, strict=True):
            members[int(GROUPS[example.position])].add(name)
    return members


@pytest.mark.parametrize("by", ["copies", "group"])
@pytest.mark.parametrize(("size", "least"), [(1, 3), (20, 5), (20, 1000), (10_000, 5)])
def test_strata_take_their_texts_of_least_hash_that_the_sample_lacks(by: str, size: int, least: int) -> None:
    strata_draw = StrataDraw(size, least, SEED)
    for example in EXAMPLES:
        strata_draw.see(example)
    strata, copies = strata_draw.choose(GROUPS if by == "group" else None)
    sample, by_hand, taken = set(ranked(set(NAMES))[:size]), strata_by_hand(by), set()
    assert [stratum.index for stratum in strata] == sorted(by_hand)
    for stratum in strata:
        members = by_hand[stratum.index]
        beyond = [name for name in ranked(members)[:least] if name not in sample]
        assert stratum.size == len(members)
        assert stratum.drawn == tuple(sorted(places()[name][0] for name in beyond))
        # What is looked at of a stratum are its texts of least hash: a random sample of it.
        seen = members & sample | set(beyond)
        assert set(ranked(members)[: len(seen)]) == seen
        assert len(seen) >= min(least, len(members))
        taken.update(beyond)
    assert copies == tuple(sorted(tuple(places()[name]) for name in taken if len(places()[name]) > 1))


def test_another_seed_draws_others() -> None:
    samples = {tuple(example.position for example in draw(EXAMPLES, 20, seed).examples) for seed in range(5)}
    assert len(samples) == 5


def test_no_example_gives_no_stratum() -> None:
    assert StrataDraw(3, 3, 0).choose(None) == ((), ())
