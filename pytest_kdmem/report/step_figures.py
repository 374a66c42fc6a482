"""Draws what models recited while they were trained, of which their run cards tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.base.text import count, percent
from pytest_kdmem.base.typed_json import from_json_number
from pytest_kdmem.report.svg import LINES, MARKERS, Picture, draw_axes, label_of, role_colour
from pytest_kdmem.report.venn import ordered_roles

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Points = Sequence[tuple[int, float]]


def memorization_curves(audit: AuditResult) -> dict[str, Points]:
    """Return pairs of step and memorization rate of each model that was measured while it was trained."""
    runs = {role: audit.models[role].run or {} for role in ordered_roles(audit) if role in audit.models}
    return {
        role: [(step, from_json_number(rate)) for step, rate in run["memorization_curve"]]
        for role, run in runs.items()
        if run.get("memorization_curve")
    }


def draw_curves(curves: Mapping[str, Points], prefix: str) -> Picture:
    """Draw memorization rates over the steps of trainings, a line per model."""

    def draw(axes: Axes) -> None:
        for role, points in curves.items():
            steps, rates = zip(*points, strict=True)
            axes.plot(
                steps,
                [100 * rate for rate in rates],
                color=role_colour(role),
                linestyle=LINES.get(role, ":"),
                marker=MARKERS.get(role, "D"),
                markersize=4,
                label=label_of(role),
            )
        axes.set_ylim(bottom=0)
        axes.set_xlabel("optimizer steps")
        axes.set_ylabel("memorized of a sample, %")
        axes.legend()

    descriptions = []
    for role, points in curves.items():
        (first, first_rate), (last, last_rate) = points[0], points[-1]
        ends = f"{percent(first_rate)} at step {count(first)}, {percent(last_rate)} at step {count(last)}"
        descriptions.append(f"{role}: {ends}")
    return draw_axes("steps", "Memorization while it was trained", "; ".join(descriptions), 2.6, draw, prefix)
