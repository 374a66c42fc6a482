"""What one model memorized over distinct examples that are long enough, from its scores."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

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
    for estimate in (memorization.rate, memorization.loss):
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


def test_a_metric_that_was_not_scored_is_refused_with_the_way_out() -> None:
    verdicts = memorization_from([row("a"), row("b", memorized=True)])
    for read in (lambda: verdicts.loss, lambda: verdicts.perplexity):
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
