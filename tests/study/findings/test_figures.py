"""Shares and spreads over seeds, also where some are undefined."""

from __future__ import annotations

import pytest

from pytest_kdmem.errors import DataError
from pytest_kdmem.study.findings.figures import Share, Spread


def test_spread():
    assert Spread((1.0, 2.0, 6.0)).mean == 3.0
    assert Spread((1.0, 2.0, 6.0)).deviation == pytest.approx(7**0.5)  # (4 + 1 + 9) / 2
    assert (Spread((5.0,)).mean, Spread((5.0,)).deviation) == (5.0, None)
    assert (Spread(()).mean, Spread(()).n) == (None, 0)
    assert (Spread((1.0, None)).mean, Spread((1.0, None)).deviation) == (None, None)
    with pytest.raises(DataError, match="nan"):
        Spread((1.0, float("nan")))


def test_a_share_of_nothing_is_undefined():
    assert Share(0, 0).value is None
    assert Share(1, 4).value == 0.25
