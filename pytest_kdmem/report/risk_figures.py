"""Draws what is predicted of a future student, and whether such predictions come true."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

from pytest_kdmem.auditing.schema import RiskEntry
from pytest_kdmem.base.text import count
from pytest_kdmem.report.svg import ACCENT, FAINT, INK, Picture, draw_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_risk(entry: RiskEntry, prefix: str) -> Picture:
    """Draw how many examples are of a predicted risk or more."""
    at_least = list(accumulate(reversed(entry.counts)))[::-1]
    starts = [max(edge, entry.edges[1] / 2) for edge in entry.edges[:-1]]  # a logarithmic axis has no 0

    def draw(axes: Axes) -> None:
        axes.step([*starts, entry.edges[-1]], [*at_least, at_least[-1]], where="post", color=INK, linewidth=1.6)
        axes.axvline(entry.threshold, color=ACCENT, linewidth=1, linestyle="--")
        axes.annotate(" threshold", (entry.threshold, max(at_least)), color=ACCENT, va="top")
        axes.set_xscale("log")
        axes.set_yscale("symlog", linthresh=1)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("predicted risk")
        axes.set_ylabel("examples of that risk or more")

    description = f"{count(len(entry.examples))} examples at or above the threshold of {entry.threshold:.2g}."
    return draw_axes("risk", "Predicted risk", description, 2.8, draw, prefix)


def draw_reliability(entry: RiskEntry, prefix: str) -> Picture:
    """Draw in which ranges of predicted risk as much was memorized as was to be expected."""
    bins = entry.reliability

    def draw(axes: Axes) -> None:
        for x, bucket in enumerate(bins):
            axes.plot([x, x], [100 * bucket.low, 100 * bucket.high], color=FAINT, linewidth=6, solid_capstyle="butt")
            axes.plot([x], [100 * bucket.expected], marker="_", color=INK, markersize=12, linestyle="none")
            axes.plot([x], [100 * bucket.observed], marker="o", color=ACCENT, markersize=5, linestyle="none")
        labels = [f"{bucket.lower:g}–\n{bucket.upper:g}\n({count(bucket.n)})" for bucket in bins]
        axes.set_xticks(range(len(labels)), labels)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("predicted risk (examples)")
        axes.set_ylabel("memorized, %")

    within_range = sum(bucket.covers_observed for bucket in bins)
    description = (
        f"In {within_range} of {len(bins)} bins what was memorized (point) lies in the range to be expected (bar)"
        " around the mean risk (dash)."
    )
    return draw_axes("reliability", "Whether risks come true", description, 3.0, draw, prefix)
