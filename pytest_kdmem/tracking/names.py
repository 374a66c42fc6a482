"""Names of figures in trackers. Dashboards and alerts are built on them, so they stay."""

from __future__ import annotations

from pytest_kdmem.metrics.estimate import Estimate

RATE = "memorization_rate"
GATES_FAILED = "kdmem/gates_failed"


def figure_name(figure: str, role: str = "") -> str:
    """Name of a figure, of one of the models if a role is given."""
    return f"kdmem/{role}/{figure}" if role else f"kdmem/{figure}"


def figures_of(figure: str, estimate: Estimate, role: str = "") -> dict[str, float]:
    """An estimate and its bounds, by their names."""
    name = figure_name(figure, role)
    return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
