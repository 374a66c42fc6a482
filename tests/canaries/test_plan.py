"""A plan draws canaries that can show something, and says which number does not."""

from __future__ import annotations

import pytest

from pytest_kdmem.canaries.plan import CanaryPlan
from pytest_kdmem.errors import SpecError


def test_the_least_numbers_are_allowed() -> None:
    assert CanaryPlan(prefix_tokens=1, suffix_tokens=8, copies=(1,), count=1, twins=100).copies == (1,)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"copies": ()}, "Different numbers of copies of at least 1"),
        ({"copies": (1, 1)}, "Different numbers of copies of at least 1"),
        ({"copies": (4, 0)}, "Different numbers of copies of at least 1"),
        ({"twins": 99}, "twins must be"),
        ({"count": 0}, "count must be"),
        ({"prefix_tokens": 0}, "prefix-tokens must be"),
        ({"suffix_tokens": 7}, "suffix-tokens must be"),
        ({"seed": -1}, "seed must be"),
    ],
)
def test_plans_that_measure_nothing_are_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        CanaryPlan(**wrong)  # type: ignore[arg-type]
