"""What one model memorized over distinct examples that are long enough, from its scores."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_kdmem.errors import SpecError
from pytest_kdmem.metrics.bounds import lower_bound, upper_bound
from tests.metrics.score_tables import memorization_from, row, too_short


def test_exact_duplicates_are_one_example() -> None:
    recited = row("a", memorized=True)
    memorization = memorization_from([recited, row("b"), recited, row("b"), row("c"), row("a")])
    assert (memorization.count, memorization.rate.n, memorization.duplicates) == (1, 3, 3)
    assert memorization.rate.value == 1 / 3
    assert memorization.distinct["copies"].to_pylist() == [3, 2, 1]


def test_an_example_is_memorized_if_any_copy_is() -> None:
    assert memorization_from([row("a"), row("a"), row("a", memorized=True)]).count == 1


def test_a_memorized_example_is_named_by_its_first_copy() -> None:
    rows = [row("b"), row("a"), row("c", memorized=True), row("a", memorized=True)]
    assert memorization_from(rows).examples == [1, 2]


def test_examples_too_short_are_counted_and_left_out_of_the_rate() -> None:
    scored = [row("a", memorized=True, nll=1.0, logprob=-1.0), row("b", nll=2.0, logprob=-2.0)]
    memorization = memorization_from([scored[0], too_short("s"), scored[1], too_short("s"), too_short("r")])
    assert (memorization.rate.k, memorization.rate.n, memorization.too_short) == (1, 2, 3)
    for estimate in (memorization.rate, memorization.loss, memorization.extractable(n=1, p=0.5)):
        assert estimate.too_short == 3


def test_ambiguous_verdicts_widen_the_bounds_either_way() -> None:
    rows = [row("a", memorized=True), row("b", memorized=True, ambiguous=True), row("c", ambiguous=True), row("d")]
    rate = memorization_from(rows).rate
    assert (rate.low, rate.value, rate.high) == (0.25, 0.5, 0.75)
    assert (rate.k, rate.ambiguous) == (2, 2)


def test_an_example_sure_in_one_copy_is_not_ambiguous() -> None:
    memorization = memorization_from([row("a", ambiguous=True), row("a", memorized=True), row("b")])
    assert (memorization.count, memorization.ambiguous) == (1, 0)
    assert memorization.rate.low == memorization.rate.high == 0.5


def test_over_a_sample_the_bounds_count_ambiguous_examples_against_the_model() -> None:
    rows = [row(str(index), memorized=index < 3, ambiguous=index in (2, 3, 4)) for index in range(200)]
    rate = memorization_from(rows, exhaustive=False).rate
    assert (rate.low, rate.high) == (lower_bound(2, 200, 0.95), upper_bound(5, 200, 0.95))


def test_without_an_example_long_enough_the_rate_is_undefined() -> None:
    memorization = memorization_from([too_short("a"), too_short("b")])
    assert math.isnan(memorization.rate.value)
    assert not memorization.rate <= 1
    assert memorization.duplicates == 0


def test_the_loss_is_the_mean_over_distinct_examples() -> None:
    rows = [row("a", nll=2.0), row("b", nll=4.0), row("a", nll=2.0), too_short("s"), row("c", nll=6.0)]
    memorization = memorization_from(rows)
    assert memorization.loss.value == 4.0
    assert memorization.loss.n == 3
    assert memorization.perplexity == pytest.approx(math.exp(4.0))


@given(
    logprobs=st.lists(st.floats(-60, 0, width=32), min_size=1, max_size=30),
    n=st.integers(1, 10**9),
    p=st.floats(1e-6, 1 - 1e-6),
)
def test_extractable_counts_the_examples_that_need_no_more_draws(logprobs: list[float], n: int, p: float) -> None:
    memorization = memorization_from([row(str(index), logprob=value) for index, value in enumerate(logprobs)])
    draws_needed = []  # for a chance of p: ln(1 − p) / ln(1 − q), where q is the suffix's probability
    for value in logprobs:
        q = math.exp(value)
        draws_needed.append(1.0 if q >= 1 else math.log1p(-p) / math.log1p(-q) if q > 0 else math.inf)
    sure = sum(draws <= n * (1 - 1e-9) for draws in draws_needed)
    possible = sum(draws <= n * (1 + 1e-9) for draws in draws_needed)
    assert sure <= (memorization.extractable(n=n, p=p).k or 0) <= possible


def test_more_draws_extract_no_less() -> None:
    memorization = memorization_from([row(str(index), logprob=-float(index)) for index in range(30)])
    hits = [memorization.extractable(n=n, p=0.5).k for n in (1, 10, 1000, 10**6)]
    assert hits == sorted(hits, key=lambda k: k or 0)
    assert hits[0] == 1
    assert hits[1] == 3  # 1 − (1 − e^−2)^10 = 0.77, and 0.40 for e^−3


def test_an_extractable_rate_says_whose_it_is_and_how_sure() -> None:
    memorization = memorization_from([row("a", logprob=0.0), row("b", logprob=-9.0)], exhaustive=False)
    with np.errstate(all="raise"):  # a suffix that is certain is no special case
        rate = replace(memorization, other_set="wiki", confidence=0.9).extractable(n=2, p=0.5)
    assert (rate.metric, rate.subject, rate.k, rate.n) == ("(2, 0.5)-extractable rate", "student on wiki", 1, 2)
    assert (rate.exhaustive, rate.confidence) == (False, 0.9)


@pytest.mark.parametrize(("n", "p"), [(0, 0.5), (-1, 0.5), (10, 0.0), (10, 1.0), (10, math.nan), (math.nan, 0.5)])
def test_extraction_in_no_draws_or_with_no_probability_is_refused(n: Any, p: float) -> None:
    with pytest.raises(SpecError, match="n ≥ 1"):
        memorization_from([row("a", logprob=-1.0)]).extractable(n=n, p=p)


def test_a_metric_that_was_not_scored_is_refused_with_the_way_out() -> None:
    verdicts = memorization_from([row("a"), row("b", memorized=True)])
    for read in (lambda: verdicts.loss, lambda: verdicts.perplexity, lambda: verdicts.extractable(n=1, p=0.5)):
        with pytest.raises(SpecError, match=r"^[^\n]*student[^\n]*metrics=\"all\"[^\n]*\.$"):
            read()


def test_the_label_names_a_set_that_the_audit_does_not_declare() -> None:
    memorization = memorization_from([row("a")])
    assert memorization.label == "student"
    on_other_set = replace(memorization, other_set="wiki")
    assert on_other_set.label == on_other_set.rate.subject == "student on wiki"


def test_flags_are_in_the_order_of_the_training_set() -> None:
    digests = [f"{value:02}" for value in np.random.default_rng(0).permutation(40)]
    memorization = memorization_from([row(digest, memorized=index % 3 == 0) for index, digest in enumerate(digests)])
    assert memorization.distinct["example_id"].to_pylist() == list(range(40))
    assert memorization.flags("memorized").tolist() == [index % 3 == 0 for index in range(40)]
