"""A subset has the rate of its own examples, and no rate of an empty one can be gated."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pytest_kdmem.errors import ComparisonError, SpecError
from pytest_kdmem.metrics.subsets import Subset, Subsets


def flags(text: str) -> np.ndarray:
    return np.array([letter == "1" for letter in text])


SUBSET = Subset(
    "student on acme", np.array([3, 5, 8, 9]), flags("1010"), flags("1000"), flags("1011"),
    exhaustive=True, confidence=0.95, model_digest="digest", part="group", name="customer acme",
)  # fmt: skip
SUBSETS = Subsets("group", {"acme": SUBSET})


def test_the_rate_is_of_the_examples_of_the_subset() -> None:
    rate = SUBSET.rate
    assert (rate.k, rate.n, rate.low, rate.high) == (2, 4, 0.25, 0.75)
    assert (rate.ambiguous, rate.subject, rate.model_digest) == (2, "student on acme", "digest")
    assert (SUBSET.count, SUBSET.examples) == (2, [3, 8])


def test_only_what_was_compared_at_once_is_the_worst_of_several() -> None:
    both = Subsets("group", {"acme": SUBSET, "b": SUBSET})
    held = both.as_gate("<=", 1.0)
    worst = held.estimate
    assert (worst.part, worst.part_name, worst.parts) == ("group", "customer acme", 2)
    assert (held.holds, held.further, held.parts_not_held) == (True, (), 0)
    failing = both.as_gate("<=", 0.1)
    assert [each.estimate.parts for each in (failing, *failing.further)] == [2, 2]
    assert (failing.holds, failing.parts_not_held) == (False, 2)
    assert (SUBSET.rate.part_name, SUBSET.rate.parts) == ("customer acme", 0)


def test_of_very_many_parts_that_do_not_hold_all_are_counted_and_the_worst_are_kept() -> None:
    shares = ["1" + "0" * size for size in range(30)]  # one of 1, of 2, of 3 …
    parts = {
        share: replace(SUBSET, example_ids=np.arange(len(share)), memorized=flags(share), sure=flags(share),
                       possible=flags(share))
        for share in shares
    }  # fmt: skip
    comparison = Subsets("group", parts).as_gate("<=", 0.0)
    kept = [comparison.estimate.n, *(part.estimate.n for part in comparison.further)]
    assert (kept, comparison.parts_not_held) == ([*range(1, 21)], 30)


def test_a_name_without_examples_is_refused_and_names_are_listed() -> None:
    with pytest.raises(SpecError, match=r"A group with an example in it was expected; found 'none'.*acme"):
        SUBSETS["none"]
    assert "none" not in SUBSETS
    assert SUBSETS.get("acme") is SUBSET
    assert list(SUBSETS) == ["acme"]


@pytest.mark.parametrize("value", [SUBSET, SUBSETS])
def test_neither_is_true_or_false(value: object) -> None:
    with pytest.raises(ComparisonError):
        bool(value)
