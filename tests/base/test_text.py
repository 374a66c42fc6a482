"""Numbers as people read them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pytest_kdmem.base.text import percent


@given(st.floats(1e-9, 1))
def test_a_printed_percentage_is_within_half_of_its_last_digit_and_never_zero(value: float) -> None:
    text = percent(value).rstrip("%")
    decimals = len(text.split(".")[1])
    assert float(text) > 0
    assert abs(float(text) - 100 * value) <= 0.5001 * 10**-decimals
