"""Names of figures are those on which dashboards were built."""

from __future__ import annotations

from typing import NamedTuple

from pytest_kdmem.specs.figure_names import GATES_FAILED, RATE, figure_name, figures_of


class Rate(NamedTuple):
    value: float
    low: float
    high: float


def test_names_stay_as_dashboards_have_them() -> None:
    assert GATES_FAILED == "kdmem/gates_failed"
    assert figure_name(RATE) == "kdmem/memorization_rate"
    assert figures_of(RATE, Rate(0.25, 0.125, 0.5), "student") == {
        "kdmem/student/memorization_rate": 0.25,
        "kdmem/student/memorization_rate_low": 0.125,
        "kdmem/student/memorization_rate_high": 0.5,
    }
