"""Rates of what may be extracted under samplers, from rows written by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_kdmem.errors import ComparisonError, EngineError, SpecError
from pytest_kdmem.metrics.bounds import upper_bound
from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.metrics.sampled import Extractable
from pytest_kdmem.scoring.sampled import SAMPLED_SCHEMA, may_be_extractable
from pytest_kdmem.specs.sampler import DeployedSampler, Draws, Sampler
from tests.metrics.score_tables import memorization_from, row, too_short

PLAIN = DeployedSampler(Sampler(), "named by the test")
GREEDY = DeployedSampler(Sampler(0), "generation_config.json")
LN2 = math.log(2)


def scored(shortfalls, **options) -> Memorization:
    rows = [row(digest, min_k=-1.0, shortfall=value) for digest, value in shortfalls.items()]
    return memorization_from(rows, **options)


def extractable_from(memorization, logprobs, draws=None, deployed=PLAIN) -> Extractable:
    """``logprobs``: as observed, least and most of each digest."""
    columns = ("logprob", "least", "most")
    rows = [
        {"example_id": at, "digest": digest, **dict(zip(columns, values, strict=True))}
        for at, (digest, values) in enumerate(logprobs.items())
    ]
    return Extractable(memorization, draws or Draws(1, 0.5), deployed, pa.Table.from_pylist(rows, SAMPLED_SCHEMA))


@given(
    logprobs=st.lists(st.floats(-60, 0, width=32), min_size=1, max_size=30),
    n=st.integers(1, 10**9),
    p=st.floats(1e-6, 1 - 1e-6),
)
def test_what_needs_no_more_draws_is_extractable(logprobs, n, p):
    by_digest = {str(at): (value,) * 3 for at, value in enumerate(logprobs)}
    extractable = extractable_from(scored(dict.fromkeys(by_digest, 0.0)), by_digest, Draws(n, p))
    draws_needed = []  # for a chance of p: ln(1 − p) / ln(1 − q), where q is the suffix's probability
    for value in logprobs:
        q = math.exp(value)
        draws_needed.append(1.0 if q >= 1 else math.log1p(-p) / math.log1p(-q) if q > 0 else math.inf)
    sure = sum(draws <= n * (1 - 1e-9) for draws in draws_needed)
    possible = sum(draws <= n * (1 + 1e-9) for draws in draws_needed)
    assert sure <= (extractable.rate.k or 0) <= possible


def test_more_draws_extract_no_less():
    by_digest = {str(at): (-float(at),) * 3 for at in range(30)}
    memorization = scored(dict.fromkeys(by_digest, 0.0))
    hits = [extractable_from(memorization, by_digest, Draws(n, 0.5)).rate.k for n in (1, 10, 1000, 10**6)]
    assert hits == sorted(hits, key=lambda k: k or 0)
    assert hits[:2] == [1, 3]  # 1 − (1 − e^−2)^10 = 0.77, and 0.40 for e^−3


def test_what_lies_at_the_threshold_within_rounding_counts_against_the_model():
    memorization = scored(dict.fromkeys("abcd", 0.0))
    near = {
        "a": (0.0, 0.0, 0.0),
        "b": (-LN2 + 0.01, -LN2 - 0.01, -LN2 + 0.02),
        "c": (-LN2 - 0.01, -math.inf, -LN2 + 0.01),
        "d": (-9.0, -9.1, -8.9),
    }
    rate = extractable_from(memorization, near).rate
    assert (rate.k, rate.n, rate.ambiguous) == (2, 4, 2)
    assert (rate.low, rate.value, rate.high) == (1 / 4, 2 / 4, 3 / 4)


def test_what_the_pass_rules_out_needs_no_row_and_what_it_leaves_open_does():
    memorization = scored({"a": 0.0, "b": LN2 - 0.01, "c": LN2 + 0.01, "d": math.inf})
    assert may_be_extractable(memorization.scores, Sampler(), Draws(1, 0.5)).tolist() == [True, True, False, False]
    assert may_be_extractable(memorization.scores, Sampler(2), Draws(1, 0.5)).tolist() == [True, True, True, False]
    rows = {"a": (0.0,) * 3, "b": (-LN2 + 0.01,) * 3}
    assert extractable_from(memorization, rows).examples == [0, 1]
    with pytest.raises(EngineError, match="of all 2 examples that may be extractable were expected of student, and 1"):
        _ = extractable_from(memorization, {"a": (0.0,) * 3}).rate


def test_a_scored_example_without_a_shortfall_is_left_open_and_one_too_short_is_not():
    rows = [row("a", min_k=-1.0), too_short("s")]
    assert may_be_extractable(memorization_from(rows).scores, Sampler(), Draws(1, 0.5)).tolist() == [True, False]


def test_verdicts_alone_are_refused_with_the_way_out():
    with pytest.raises(SpecError, match=r"^[^\n]*student[^\n]*metrics=\"all\"[^\n]*\.$"):
        may_be_extractable(memorization_from([row("a")]).scores, Sampler(), Draws(1, 0.5))


def test_greedy_decoding_extracts_what_is_memorized_whatever_n_and_p_are():
    rows = [row("a", memorized=True), row("b", ambiguous=True), row("c"), too_short("s")]
    memorization = memorization_from(rows)
    rate = Extractable(memorization, Draws(100, 0.5), GREEDY, None).rate
    assert (rate.k, rate.n, rate.low, rate.high) == (1, 3, 1 / 3, 2 / 3)
    assert rate.metric == "(100, 0.5)-extractable rate by greedy decoding (generation_config.json)"


def test_copies_are_one_example_and_a_rate_says_whose_it_is():
    rows = [row(digest, min_k=-1.0, shortfall=0.0) for digest in ("a", "a", "b")]
    memorization = replace(memorization_from(rows, exhaustive=False), other_set="wiki", confidence=0.9)
    rate = extractable_from(memorization, {"a": (0.0,) * 3, "b": (-9.0,) * 3}, Draws(2, 0.5)).rate
    assert (rate.k, rate.n, rate.subject, rate.confidence) == (1, 2, "student on wiki", 0.9)
    assert rate.metric == "(2, 0.5)-extractable rate at temperature 1 (named by the test)"
    assert rate.high == upper_bound(1, 2, 0.9)
    assert rate.model_digest == memorization.rate.model_digest != ""


def test_it_is_neither_true_nor_false():
    with pytest.raises(ComparisonError, match="compare its rate"):
        bool(Extractable(memorization_from([row("a")]), Draws(1, 0.5), GREEDY, None))


def test_outside_of_audits_no_model_is_run():
    with pytest.raises(SpecError, match="belongs to none"):
        scored({"a": 0.0}).extractable(100, 0.5)
