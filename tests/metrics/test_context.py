"""Rates by the length of the prefix and the longest run: their bounds, and what they refuse."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from pytest_kdmem.auditing.verdict import judge
from pytest_kdmem.errors import SpecError
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.scoring.table import schema_of
from pytest_kdmem.scoring.window_columns import pack_bits
from pytest_kdmem.specs.declared import Extraction
from tests.metrics.score_tables import memorization_from, row, too_short

LENGTHS = Extraction(prefix_tokens=10, suffix_tokens=5, window_tokens=40)


def windows(hits: str, unsure: str = "") -> dict[str, object]:
    """The columns of a window from hits, written as 1, of the tokens from the second on."""
    flags = [pack_bits(np.array(list(text.ljust(len(hits), "0"))) == "1") for text in (hits, unsure)]
    tokens = len(hits) + 1
    return {"tokens": tokens, "suffix_at": 10, "hits": flags[0], "unsure": flags[1], "min_k": -1.0, "min_k_plus": -1.0}


def recited(places: range, length: int = 39) -> str:
    """Hits of a window whose tokens at some places are hit."""
    return "".join("1" if place in places else "0" for place in range(1, length + 1))


ROWS = [
    row("a", memorized=True) | windows(recited(range(1, 40))),
    row("b") | windows(recited(range(25, 30))),
    row("c") | windows(recited(range(25, 29)), recited(range(29, 30))),
    row("d", memorized=True) | windows(recited(range(10, 15), 20)),  # too short for a prefix of 25
    row("a", memorized=True) | windows(recited(range(1, 40))),
    too_short("e"),
]


def memorization(rows=ROWS, *, exhaustive: bool = True) -> Memorization:
    base = memorization_from([too_short(entry["digest"]) for entry in rows], exhaustive=exhaustive)
    numbered = [{"example_id": index, **entry} for index, entry in enumerate(rows)]
    record = replace(base.scores.record, too_short=1)
    table = pa.Table.from_pylist(numbered, schema_of("all"))
    return Memorization("student", replace(base.scores, rows=table, extraction=LENGTHS, record=record))


def test_a_rate_is_over_the_distinct_examples_that_are_long_enough():
    at = memorization().at_prefix(25)
    assert (at.rate.k, at.rate.n, at.rate.ambiguous, at.rate.too_short) == (2, 3, 1, 2)
    assert (at.rate.low, at.rate.value, at.rate.high) == (2 / 3, 2 / 3, 1.0)
    assert at.examples == [0, 1]
    assert at.rate.metric == "memorization rate at prefix 25"


def test_the_curve_holds_multiples_of_25_and_the_own_length_whose_rate_is_the_rate():
    curve = dict(memorization().curve)
    assert list(curve) == [10, 25]
    rate = memorization().rate
    assert (curve[10].k, curve[10].n, curve[10].low, curve[10].high, curve[10].too_short) == (
        rate.k,
        rate.n,
        rate.low,
        rate.high,
        rate.too_short,
    )


def test_the_longest_run_is_exact_over_a_whole_set_and_unbounded_by_a_sample():
    run = memorization().longest_run
    assert (run.value, run.low, run.high, run.n) == (39, 39, 39, 4)
    assert str(run) == "39 tokens (4 examples; 1 row too short to be measured)"
    assert memorization().longest_runs.tolist() == [39, 5, 4, 5]
    sampled = memorization(ROWS[1:], exhaustive=False).longest_run
    assert (sampled.low, sampled.high) == (39, 40)
    assert not sampled <= 39


@pytest.mark.parametrize(
    ("prefix", "message"),
    [
        (0, "at least 1 tokens was expected; found 0"),
        (True, "at least 1 tokens was expected; found True"),
        (36, r"at most 35 tokens was expected, because no example of student holds 5 tokens after one of 36"),
    ],
)
def test_a_prefix_of_which_nothing_is_known_is_refused(prefix, message):
    with pytest.raises(SpecError, match=message):
        memorization().at_prefix(prefix)


def test_verdicts_alone_have_no_curve():
    with pytest.raises(SpecError, match=r"Column hits was expected of student.*metrics=\"all\""):
        _ = memorization_from([row("a")]).curve


def test_a_rate_over_few_of_the_examples_passes_no_gate_and_fails_as_any_other():
    few = replace(memorization(), least_share=0.75)  # of 6 examples one is too short, and of 4 distinct ones another
    rate = few.at_prefix(25).rate
    assert (rate.k, rate.n) == (2, 3)
    assert not rate <= 1.0
    verdict = judge(rate.compare("<=", 1.0))
    assert (verdict.outcome, verdict.defined) == ("inconclusive", True)
    assert "only 62.50% of the examples hold a suffix after such a prefix, and 75.00% were expected" in verdict.basis
    assert judge(rate.compare("<=", 0.1)).outcome == "fail"
    assert not rate <= few.at_prefix(25).rate
    assert not dict(few.curve)[25] <= 1.0
    assert few.at_prefix(10).rate <= 1.0  # of the audit's own length, of which most must be long enough at all
    enough = replace(memorization(), least_share=0.625).at_prefix(25).rate
    assert enough <= 1.0
    assert rate.to_json() == enough.to_json()
