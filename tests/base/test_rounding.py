"""Many numbers are rounded as a format rounds each of them."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_kdmem.base.rounding import rounded


@given(st.lists(st.floats() | st.floats(-1e6, 1e6, width=32) | st.integers(-(10**6), 10**6).map(lambda n: n / 20)))
@example([0.0, -0.0, 0.99995, 0.999949999, 9999.5, 9998.5, 12345.0, 1234.5, -1235.5, 1e22, 1e-300, 5e-324, 1e308])
@example([1.0, 10.0, 1000.0, 1e15, 1e-15, 0.1, 0.00012345, 0.12345, 1.2345, 12.345, math.inf, -math.inf, math.nan])
def test_each_is_rounded_as_by_a_format(values: list[float]) -> None:
    expected = [float(f"{value:.4g}") if math.isfinite(value) else None for value in values]
    # As texts, so that 0 and −0 differ.
    assert list(map(repr, rounded(np.array(values, dtype=np.float64)))) == list(map(repr, expected))
