"""Draws, for an example, prefixes of other examples of its training set that have nothing to do with it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pytest_kdmem.base.arrays import TokenIds
from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.specs.declared import Extraction

# Prefixes drawn for each example, out of a pool that is the same for all, so that few examples are read for them.
DRAWS = 3
POOL = 256
SEED = 0
# Texts are compared by their runs of so many tokens.
RUN = 5


def draw_pool(rows: pa.Table) -> list[int]:
    """Positions of the examples whose prefixes are drawn from: distinct ones that are long enough, ascending.

    Args:
        rows: Score table by `scoring.table.SCHEMA`.
    """
    scored = rows.filter(pc.not_equal(rows["status"], "too_short"))
    drawn = np.random.default_rng(SEED).permutation(len(scored))[: 2 * POOL]  # some are copies of others
    digests, positions = (scored[name].take(drawn).to_pylist() for name in ("digest", "example_id"))
    of_digest = dict(zip(digests, positions, strict=True))
    return sorted(list(of_digest.values())[:POOL])


class UnrelatedPrefixes:
    """Prefixes of a pool of examples.

    Args:
        pool: The examples.
        extraction: Lengths of prefix and suffix.
    """

    def __init__(self, pool: Sequence[Example], extraction: Extraction) -> None:
        self._extraction = extraction
        self._prefixes = [example.ids[: example.start(extraction)] for example in pool]
        self._digests = [example.digest for example in pool]
        self._runs = [_runs(prefix) for prefix in self._prefixes]

    def of(self, example: Example) -> tuple[TokenIds, ...]:
        """The prefixes drawn for an example: DRAWS, or fewer if the pool holds no more that are unrelated.

        The draw depends on the example and the pool alone. A copy or near-copy of its own prefix is never drawn, nor
        one that holds a piece of the suffix, from which a model could copy it.
        """
        order = np.random.default_rng([SEED, int(example.digest[:16], 16)]).permutation(len(self._prefixes))
        start, end = example.start(self._extraction), example.end(self._extraction)
        own, suffix = _runs(example.ids[:start]), _runs(example.ids[start:end])
        drawn: list[TokenIds] = []
        for index in order:
            runs = self._runs[index]
            is_related = 2 * len(runs & own) >= min(len(runs), len(own)) or not runs.isdisjoint(suffix)
            if not is_related and self._digests[index] != example.digest:
                drawn.append(self._prefixes[index])
            if len(drawn) == DRAWS:
                break
        return tuple(drawn)


def _runs(ids: TokenIds) -> frozenset[bytes]:
    """All runs of RUN tokens; of fewer tokens, all of them as one run."""
    content = ids.astype("<i4")
    size = min(RUN, len(content))
    return frozenset(content[at : at + size].tobytes() for at in range(len(content) - size + 1))
