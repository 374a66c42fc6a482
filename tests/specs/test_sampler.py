"""A sampler refuses what no model can be sampled by, and draws tell how probable a suffix must be."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.sampler import DeployedSampler, Draws, Sampler


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"temperature": -0.1}, "temperature of 0 .*found -0.1"),
        ({"temperature": 1e-4}, "from 0.001"),
        ({"temperature": math.nan}, "found nan"),
        ({"temperature": math.inf}, "found inf"),
        ({"temperature": True}, "found True"),
        ({"temperature": "1"}, "found '1'"),
        ({"top_k": 0}, "from 1 was expected as top_k; found 0"),
        ({"top_k": 2.0}, "found 2.0"),
        ({"top_k": True}, "found True"),
        ({"top_p": 0}, "above 0 and at most 1 was expected as top_p; found 0"),
        ({"top_p": 1.1}, "found 1.1"),
        ({"top_p": math.nan}, "found nan"),
        ({"min_p": -0.1}, "from 0 to 1 was expected as min_p"),
        ({"epsilon_cutoff": 1.0}, "below 1 was expected as epsilon_cutoff"),
        ({"eta_cutoff": "x"}, "below 1 was expected as eta_cutoff"),
    ],
)
def test_what_is_out_of_range_is_refused(given, message):
    with pytest.raises(SpecError, match=message):
        Sampler(**given)


def test_samplers_that_do_the_same_are_equal():
    assert Sampler(1, None, 1, 0, 0, 0.0) == Sampler()
    assert Sampler(top_k=5) != Sampler()


def test_a_sampler_names_what_it_does():
    assert str(Sampler(0.7, 1000, 0.9, 0.05, 0.001, 0.002)) == (
        "at temperature 0.7, top-k 1 000, top-p 0.9, min-p 0.05, epsilon 0.001, eta 0.002"
    )
    assert str(Sampler()) == "at temperature 1"
    assert str(DeployedSampler(Sampler(0), "said so")) == "by greedy decoding (said so)"
    assert Sampler(0, top_k=4).is_greedy
    assert not Sampler(0.001).is_greedy


@given(
    st.builds(
        Sampler,
        st.floats(1e-3, 10),
        st.none() | st.integers(1, 99),
        *(st.none() | st.floats(1e-6, 0.999) for _ in range(4)),
    ),
    st.floats(0, 1e4),
)
def test_loosened_truncations_keep_more_and_tightened_ones_less(sampler, step):
    loose, tight = sampler.loosened(step), sampler.loosened(-step)
    for name, keeps_all in (("min_p", 0.0), ("epsilon_cutoff", 0.0), ("eta_cutoff", 0.0)):
        limits = [getattr(each, name) or keeps_all for each in (loose, sampler, tight)]
        assert limits[0] <= limits[1] <= limits[2] or limits[2] == 1 - 1e-9
    masses = [each.top_p or 1.0 for each in (tight, sampler, loose)]
    assert masses == sorted(masses)
    assert loose.top_k == tight.top_k == sampler.top_k


@given(st.integers(1, 10**9), st.floats(1e-9, 1 - 1e-9))
def test_the_least_probability_is_that_of_one_of_n_samples(n, p):
    least = Draws(n, p).least_logprob
    within_n = -math.expm1(n * math.log1p(-math.exp(least))) if least < 0 else 1.0
    assert within_n == pytest.approx(p, rel=1e-5)


def test_the_least_probability_of_few_samples_is_exact():
    assert math.exp(Draws(1, 0.25).least_logprob) == pytest.approx(0.25, rel=1e-12)
    q = Fraction(1, 3)
    assert math.exp(Draws(3, float(1 - (1 - q) ** 3)).least_logprob) == pytest.approx(1 / 3, rel=1e-12)


@pytest.mark.parametrize(("n", "p"), [(0, 0.5), (-1, 0.5), (10, 0.0), (10, 1.0), (10, math.nan), (math.nan, 0.5)])
def test_no_draws_and_no_probability_are_refused(n, p):
    with pytest.raises(SpecError, match=r"n ≥ 1 and 0 < p < 1 were expected of \(n, p\)-extraction; found n = "):
        Draws(n, p)


def test_draws_that_are_no_numbers_are_refused():
    for n, p in (("10", 0.5), (10, None), (True, 0.5)):
        with pytest.raises(SpecError, match="n ≥ 1"):
            Draws(n, p)
