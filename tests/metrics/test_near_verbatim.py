"""Rates of what is recited nearly, from rows written by hand."""

from __future__ import annotations

import pyarrow as pa
import pytest

from pytest_kdmem.errors import ComparisonError
from pytest_kdmem.metrics.bounds import upper_bound
from pytest_kdmem.metrics.near_verbatim import NearVerbatim
from pytest_kdmem.scoring.near_verbatim import NEAR_SCHEMA
from pytest_kdmem.specs.nearness import Nearness
from tests.metrics.score_tables import memorization_from, row, too_short


def near_from(verdicts, rows, **options) -> NearVerbatim:
    """``verdicts``: near and ambiguous of each row; None of one too short."""
    columns = [
        {
            "example_id": at,
            "digest": scored["digest"],
            "near": None if verdict is None else verdict[0],
            "ambiguous": None if verdict is None else verdict[1],
        }
        for at, (verdict, scored) in enumerate(zip(verdicts, rows, strict=True))
    ]
    return NearVerbatim(memorization_from(rows, **options), pa.Table.from_pylist(columns, NEAR_SCHEMA), Nearness())


def test_ambiguous_verdicts_of_both_runs_widen_the_bounds():
    rows = [row("a", memorized=True), row("b"), row("c"), row("d"), row("e", ambiguous=True), row("f"), too_short("s")]
    verdicts = [(True, False), (True, False), (True, True), (False, True), (False, False), (False, False), None]
    near = near_from(verdicts, rows)
    assert (near.rate.k, near.rate.n, near.rate.ambiguous, near.rate.too_short) == (3, 6, 3, 1)
    assert (near.rate.low, near.rate.value, near.rate.high) == (2 / 6, 3 / 6, 5 / 6)
    assert (near.examples, near.ambiguous_examples) == ([0, 1, 2], [2, 3, 4])


def test_what_is_recited_exactly_is_near_whatever_decoding_says():
    near = near_from([(False, False), (False, False)], [row("a", memorized=True), row("b")])
    assert (near.rate.k, near.rate.low) == (1, 0.5)


def test_copies_are_one_example_that_is_near_if_any_copy_is():
    near = near_from([(False, True), (True, False), (False, False)], [row("a"), row("a"), row("b")])
    assert (near.rate.k, near.rate.n, near.rate.ambiguous, near.examples) == (1, 2, 0, [0])


def test_over_a_sample_the_upper_bound_counts_what_is_ambiguous():
    rows = [row(str(at)) for at in range(50)]
    near = near_from([(at == 0, at == 1) for at in range(50)], rows, exhaustive=False)
    assert near.rate.high == upper_bound(2, 50, 0.95)


def test_the_rate_names_the_model_and_how_near_counts():
    near = near_from([(True, False)], [row("a")])
    assert near.rate.model_digest == near.memorization.rate.model_digest != ""
    assert near.rate.metric == "near-verbatim rate within 0.1 edits a token"


def test_it_is_neither_true_nor_false():
    with pytest.raises(ComparisonError, match="compare its rate"):
        bool(near_from([(True, False)], [row("a")]))
