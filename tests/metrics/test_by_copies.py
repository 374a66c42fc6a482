"""Rates by the number of copies are those of counting, and a tier without an example passes no gate."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from pytest_kdmem.corpus.copy_tiers import TIERS
from pytest_kdmem.errors import ComparisonError, SpecError
from pytest_kdmem.metrics.by_copies import copy_tiers, short_copies_by_tier
from tests.metrics.score_tables import memorization_from, row, too_short


def test_every_example_is_of_one_tier() -> None:
    copies = np.array([1, 2, 3, 4, 15, 16, 17, 1000])
    tiers = copy_tiers(copies)
    assert {tier: copies[is_member].tolist() for tier, is_member in tiers.items()} == {
        "1": [1], "2-3": [2, 3], "4-15": [4, 15], "16+": [16, 17, 1000],
    }  # fmt: skip
    assert list(tiers) == list(TIERS)


def test_the_most_copies_of_what_is_too_short_are_told_by_tier() -> None:
    assert short_copies_by_tier(np.array([1, 1, 2, 5, 12, 30, 17])) == {"2-3": 2, "4-15": 12, "16+": 30}
    assert short_copies_by_tier(np.array([], dtype=np.int64)) == {}
    rows = [*[row("a")] * 4, row("b"), *[too_short("c")] * 12, too_short("d")]
    by_copies = memorization_from(rows).by_copies
    assert {tier: subset.rate.too_short_copies for tier, subset in by_copies.items()} == {"1": 0, "4-15": 12}


def test_rates_are_those_of_counting_row_by_row() -> None:
    generator = np.random.default_rng(7)
    names = generator.zipf(1.3, 600).clip(max=120).tolist()
    rows = [row(str(name), memorized=name < 40, ambiguous=name % 9 == 0) for name in names]
    memorization = memorization_from(rows)
    counted = Counter(names)
    limits = {"1": range(1, 2), "2-3": range(2, 4), "4-15": range(4, 16), "16+": range(16, 10**6)}
    assert set(memorization.by_copies) <= set(limits)
    assert len(memorization.by_copies) == 4
    for tier, subset in memorization.by_copies.items():
        members = [name for name, copies in counted.items() if copies in limits[tier]]
        sure = [name for name in members if name < 40 and name % 9]
        possible = [name for name in members if name < 40 or name % 9 == 0]
        rate = subset.rate
        assert (rate.k, rate.n) == (sum(name < 40 for name in members), len(members))
        assert (rate.low, rate.high) == (len(sure) / len(members), len(possible) / len(members))
        assert subset.examples == [id_ for id_ in memorization.examples if str(names[id_]) in map(str, members)]
    assert sum(subset.count for subset in memorization.by_copies.values()) == memorization.count


def test_what_is_measured_names_the_model_and_the_tier() -> None:
    by_copies = memorization_from([row("a", memorized=True), row("b"), row("b")]).by_copies
    assert {subset.rate.model_digest for subset in by_copies.values()} == {"digest of student"}
    assert [subset.rate.subject for subset in by_copies.values()] == ["student on 1 copy", "student on 2-3 copies"]


def test_a_tier_without_an_example_is_refused() -> None:
    by_copies = memorization_from([row("a"), row("b"), row("b")]).by_copies
    assert "16+" not in by_copies
    with pytest.raises(
        SpecError, match=r"^A tier of copies with an example in it was expected; found '16\+', .* 1, 2-3"
    ):
        by_copies["16+"]


def test_neither_the_rates_nor_one_of_them_is_true() -> None:
    by_copies = memorization_from([row("a")]).by_copies
    for value in (by_copies, by_copies["1"]):
        with pytest.raises(ComparisonError, match="neither true nor false"):
            bool(value)


def test_a_tier_of_which_a_sample_holds_nothing_is_named_and_undefined() -> None:
    by_copies = memorization_from([row("a")], exhaustive=False).by_copies
    assert by_copies.not_looked_at == ("2-3", "4-15", "16+")
    assert not by_copies <= 1.0
    assert list(by_copies.looked_at) == ["1"]
