"""What is specific and what is common, from rows written by hand."""

from __future__ import annotations

import math

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_kdmem.errors import ComparisonError, SpecError
from pytest_kdmem.metrics.specific import Specific
from pytest_kdmem.scoring.without_prefix import SUFFIX_SCHEMA
from tests.metrics.score_tables import memorization_from, row

CERTAIN, NEVER = -1e-3, -90.0


def specific_from(rows, logprobs, *, recited=(), tied=(), n=100, p=0.5, **options) -> Specific:
    """``logprobs``: by digest, those of the suffix after each drawn prefix."""
    columns = [
        {
            "example_id": at,
            "digest": digest,
            "logprob": values,
            "memorized": [digest in recited] * len(values),
            "ambiguous": [digest in tied] * len(values),
        }
        for at, (digest, values) in enumerate(logprobs.items())
    ]
    return Specific(memorization_from(rows, **options), pa.Table.from_pylist(columns, SUFFIX_SCHEMA), n, p)


def test_an_example_is_common_if_its_suffix_comes_after_every_prefix():
    rows = [row(digest, memorized=True) for digest in "abcd"] + [row("e")]
    logprobs = {"a": [CERTAIN] * 3, "b": [CERTAIN, CERTAIN, NEVER], "c": [NEVER] * 3, "d": [NEVER] * 3}
    specific = specific_from(rows, logprobs, recited=("d",))
    assert (specific.examples, specific.common_examples) == ([1, 2], [0, 3])
    assert (specific.rate.k, specific.rate.n, specific.rate.value) == (2, 5, 0.4)
    assert (specific.common_share.k, specific.common_share.n) == (2, 4)


def test_an_example_of_which_no_three_prefixes_were_found_is_not_common():
    specific = specific_from([row("a", memorized=True)], {"a": [CERTAIN, CERTAIN]})
    assert (specific.rate.k, specific.undrawn) == (1, 1)


@given(logprob=st.floats(-40, -0.01), n=st.integers(1, 10**6), p=st.floats(0.01, 0.99))
def test_likely_is_what_n_samples_contain_with_probability_p(logprob, n, p):
    chance = 1 - (1 - math.exp(logprob)) ** n
    if abs(chance - p) > 0.02 and n * math.exp(logprob) > 1e-6:
        specific = specific_from([row("a", memorized=True)], {"a": [logprob] * 3}, n=n, p=p)
        assert (specific.common_share.k == 1) == (chance > p)


def test_what_is_ambiguous_widens_both_bounds():
    rows = [row("a", memorized=True), row("b", memorized=True, ambiguous=True), row("c", ambiguous=True), row("d")]
    logprobs = {"a": [NEVER] * 3, "b": [CERTAIN] * 3, "c": [NEVER] * 3}
    specific = specific_from(rows, logprobs, tied=("a",))
    # a may be common, b is common if it is memorized at all, and c may be memorized and is not common.
    assert (specific.rate.low, specific.rate.value, specific.rate.high) == (0, 1 / 4, 2 / 4)
    share = specific.common_share
    assert (share.low, share.value, share.high) == (0, 1 / 2, 1)


def test_a_likelihood_within_rounding_is_ambiguous():
    least = math.log(1 - 0.5 ** (1 / 100))
    rows = [row("a", memorized=True)]
    for shift, bounds in ((0.02, (0, 1)), (0.2, (0, 0)), (-0.02, (0, 1)), (-0.2, (1, 1))):
        rate = specific_from(rows, {"a": [least + shift] * 3}).rate  # the tolerance is 0.001 for each of 50 tokens
        assert (rate.low, rate.high) == bounds


def test_copies_count_once_whichever_copy_is_recited():
    rows = [row("a"), row("a", memorized=True), row("b")]
    specific = specific_from(rows, {"a": [NEVER] * 3})
    assert (specific.rate.k, specific.rate.n, specific.examples) == (1, 2, [0])


def test_nothing_recited_leaves_no_share():
    specific = specific_from([row("a")], {})
    assert specific.rate.value == 0
    assert math.isnan(specific.common_share.value)


@pytest.mark.parametrize(("n", "p"), [(0, 0.5), (1, 0.0), (1, 1.0), (1, math.nan)])
def test_samples_out_of_range_are_refused(n, p):
    with pytest.raises(SpecError, match="n ≥ 1 and 0 < p < 1"):
        specific_from([row("a")], {}, n=n, p=p)


def test_both_figures_are_of_the_model_that_was_scored():
    specific = specific_from([row("a", memorized=True)], {"a": [NEVER] * 3})
    digest = specific.memorization.rate.model_digest
    assert digest
    assert specific.rate.metric == "(100, 0.5)-specific memorization rate"
    assert {specific.rate.model_digest, specific.common_share.model_digest} == {digest}


def test_it_is_neither_true_nor_false():
    with pytest.raises(ComparisonError, match="compare its rate"):
        bool(specific_from([row("a")], {}))
