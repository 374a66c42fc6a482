"""A subset has the rate of its own examples, and no rate of an empty one can be gated."""

from __future__ import annotations

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
    ((worst, _),) = both.worst("<=", 1.0)
    assert (worst.part, worst.part_name, worst.parts) == ("group", "customer acme", 2)
    assert [rate.parts for rate, _ in both.worst("<=", 0.1)] == [2, 2]
    assert (SUBSET.rate.part_name, SUBSET.rate.parts) == ("customer acme", 0)


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
