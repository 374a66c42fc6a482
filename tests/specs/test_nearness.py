"""A nearness allows as many edits as its share holds, and refuses what is no share and no run."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.nearness import Nearness


@pytest.mark.parametrize(
    ("delta", "tokens", "edits"), [(0.1, 50, 5), (0.1, 49, 4), (0, 50, 0), (0.3, 10, 3), (0.99, 10, 9)]
)
def test_edits_are_counted_up_to_the_share(delta: float, tokens: int, edits: int) -> None:
    assert Nearness(delta).edits(tokens) == edits


@pytest.mark.parametrize("delta", [-0.1, 1, 1.5, float("nan"), True, "0.1", None])
def test_what_is_no_share_is_refused(delta: Any) -> None:
    with pytest.raises(SpecError, match="expected as delta"):
        Nearness(delta)


@pytest.mark.parametrize("run", [0, -1, 2.0, True, "25"])
def test_what_is_no_run_is_refused(run: Any) -> None:
    with pytest.raises(SpecError, match="expected as run"):
        Nearness(run=run)


def test_a_run_fits_into_the_suffix() -> None:
    Nearness(run=50).check_fits(50)
    Nearness().check_fits(1)
    with pytest.raises(SpecError, match=r"at most the 49 tokens .* found 50"):
        Nearness(run=50).check_fits(49)


def test_it_is_told_in_words() -> None:
    assert str(Nearness()) == "within 0.1 edits a token"
    assert str(Nearness(0.2, 25)) == "within 0.2 edits a token or 25 tokens in a row"
