"""Draws what is predicted of a future student, and whether such predictions come true."""

from __future__ import annotations

import math
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from pytest_kdmem.auditing.schema import RiskEntry
from pytest_kdmem.base.text import count
from pytest_kdmem.report.svg import ACCENT, FAINT, INK, Picture, count_axis, draw_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROOM_FOR_LABEL = 4.0  # factor by which an axis exceeds the greatest count
BELOW: dict[str, Any] = {"ha": "center", "va": "top", "fontsize": "small", "annotation_clip": False}


def draw_risk(entry: RiskEntry, prefix: str) -> Picture:
    """Draw how many examples are of a predicted risk or more, those at risk in another colour."""
    at_least = list(accumulate(reversed(entry.counts)))[::-1]
    starts = [max(edge, entry.edges[1] / 2) for edge in entry.edges[:-1]]  # a logarithmic axis has no 0
    at_risk = len(entry.examples)

    def draw(axes: Axes) -> None:
        from matplotlib.ticker import LogLocator

        axes.set_xscale("log")
        count_axis(axes)
        edges = [*starts, entry.edges[-1]]
        is_at_risk = [start >= entry.threshold for start in starts]
        for start, end, examples, marked in zip(edges, edges[1:], at_least, is_at_risk, strict=False):
            axes.bar(start, examples, 0.94 * (end - start), align="edge", color=ACCENT if marked else FAINT)
        axes.axvline(entry.threshold, color=ACCENT, linewidth=1.4, linestyle="--")
        axes.set_ylim(0, ROOM_FOR_LABEL * max(at_least))
        # On the side of the bar on which there is more room.
        is_left = entry.threshold > math.sqrt(edges[0] * edges[-1])
        side, offset = ("right", -5) if is_left else ("left", 5)
        place: dict[str, Any] = {
            "xycoords": axes.get_xaxis_transform(),
            "textcoords": "offset points",
            "va": "top",
            "ha": side,
        }
        text = f"{count(at_risk)} at risk from {entry.threshold:.2g} on"
        axes.annotate(text, (entry.threshold, 1), (offset, -2), color=ACCENT, **place)
        axes.xaxis.set_major_locator(LogLocator())
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_xlabel("predicted risk")
        axes.set_ylabel("examples of that risk or more")

    description = f"{count(at_risk)} examples at or above the threshold of {entry.threshold:.2g}."
    return draw_axes("risk", "Predicted risk", description, 2.8, draw, prefix)


def draw_reliability(entry: RiskEntry, prefix: str) -> Picture:
    """Draw in which ranges of predicted risk as much was memorized as was to be expected."""
    bins = entry.reliability

    def draw(axes: Axes) -> None:
        for x, bucket in enumerate(bins):
            axes.plot([x, x], [100 * bucket.low, 100 * bucket.high], color=FAINT, linewidth=7, solid_capstyle="butt")
            axes.plot([x], [100 * bucket.expected], marker="_", color=INK, markersize=13, linestyle="none")
            axes.plot([x], [100 * bucket.observed], marker="o", color=ACCENT, markersize=5, linestyle="none")
        # Limits of the ranges stand between them, and how many examples a range has below it.
        limits = [bins[0].lower, *(bucket.upper for bucket in bins)]
        axes.set_xticks([x - 0.5 for x in range(len(limits))], [f"{limit:g}" for limit in limits])
        axes.set_xlim(-0.5, len(bins) - 0.5)
        below = axes.get_xaxis_transform()
        for x, bucket in enumerate(bins):
            axes.annotate(count(bucket.n), (x, 0), (0, -19), xycoords=below, textcoords="offset points", **BELOW)
        axes.set_ylim(0, 104)  # so that a point at 100 is whole
        axes.set_xlabel("predicted risk, and examples of it", labelpad=16)
        axes.set_ylabel("memorized, %")
        handles = [line for line, _ in zip(axes.get_lines(), range(3), strict=False)]
        axes.legend(handles, ["to be expected", "mean risk", "memorized"], loc="upper left", markerscale=0.8)

    within_range = sum(bucket.covers_observed for bucket in bins)
    description = (
        f"In {within_range} of {len(bins)} bins what was memorized (point) lies in the range to be expected (bar)"
        " around the mean risk (dash)."
    )
    return draw_axes("reliability", "Whether risks come true", description, 3.0, draw, prefix)
