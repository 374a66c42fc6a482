"""Names of figures in trackers and histories of trainings. Dashboards and alerts are built on them, so they stay."""

from __future__ import annotations

from typing import Protocol

RATE = "memorization_rate"
GATES_FAILED = "kdmem/gates_failed"


class Bounded(Protocol):
    """A figure with its bounds."""

    @property
    def value(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...


def figure_name(figure: str, role: str = "") -> str:
    """Name of a figure, of one of the models if a role is given."""
    return f"kdmem/{role}/{figure}" if role else f"kdmem/{figure}"


def figures_of(figure: str, bounded: Bounded, role: str = "") -> dict[str, float]:
    """A figure and its bounds, by their names."""
    name = figure_name(figure, role)
    return {name: bounded.value, f"{name}_low": bounded.low, f"{name}_high": bounded.high}
