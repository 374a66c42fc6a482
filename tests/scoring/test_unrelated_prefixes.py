"""Prefixes drawn for an example have nothing to do with it, and follow from it and the pool alone."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from pytest_kdmem.scoring.unrelated_prefixes import DRAWS, POOL, UnrelatedPrefixes, draw_pool
from pytest_kdmem.specs.declared import Extraction
from tests.engines.any_engine import examples_of

EXTRACTION = Extraction(50, 50, 100)


def test_the_pool_holds_distinct_scored_examples_in_their_order() -> None:
    rows = pa.Table.from_pylist(
        [
            {"example_id": at, "digest": f"{at // 2:032x}", "status": "too_short" if at % 10 == 0 else "scored"}
            for at in range(2000)
        ]
    )
    pool = draw_pool(rows)
    assert pool == draw_pool(rows) == sorted(pool)
    assert len(pool) == len({at // 2 for at in pool}) == POOL
    assert not any(at % 10 == 0 for at in pool)
    assert draw_pool(rows.slice(0, 3)) in ([1, 2], [2])  # of a copy, one place


def test_a_prefix_that_has_to_do_with_the_example_is_never_drawn():
    random = np.random.default_rng(0)
    rows = random.integers(0, 1000, (8, 100)).astype(np.int32)
    rows[1, :50] = rows[0, :50]  # a copy of the prefix
    rows[2, :50] = rows[0, :50]
    rows[2, 20:24] = 7  # a near-copy
    rows[3, 10:20] = rows[0, 60:70]  # a piece of the suffix
    examples = examples_of(rows)
    prefixes = UnrelatedPrefixes(examples, EXTRACTION)
    drawn = {prefix.tobytes() for prefix in prefixes.of(examples[0])}
    assert len(drawn) == DRAWS
    assert drawn <= {row[:50].tobytes() for row in rows[4:]}
    assert drawn != {prefix.tobytes() for prefix in prefixes.of(examples[4])}
    few = UnrelatedPrefixes(examples[:6], EXTRACTION)
    assert len(few.of(examples[0])) == 2


def test_an_answer_gets_whole_prompts_of_others():
    rows = np.random.default_rng(0).integers(0, 1000, (6, 100)).astype(np.int32)
    examples = examples_of(rows)
    examples = [type(each)(each.position, each.ids, prefix_tokens=20 + at) for at, each in enumerate(examples)]
    drawn = UnrelatedPrefixes(examples, EXTRACTION).of(examples[0])
    assert {len(prefix) for prefix in drawn} < {21, 22, 23, 24, 25}


def test_what_is_drawn_follows_from_the_example_and_the_pool_alone() -> None:
    examples = examples_of(np.random.default_rng(1).integers(0, 1000, (20, 100)).astype(np.int32))
    drawn, again = (
        [prefix.tobytes() for prefix in UnrelatedPrefixes(examples, EXTRACTION).of(examples[number])]
        for number in (3, 3)
    )
    assert drawn == again
    elsewhere = type(examples[3])(77, examples[3].ids)
    assert [prefix.tobytes() for prefix in UnrelatedPrefixes(examples, EXTRACTION).of(elsewhere)] == drawn
