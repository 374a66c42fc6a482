"""Draws how far examples are from being recited: a histogram of margins for each model, cut at 0."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_kdmem.auditing.schema_examples import DistributionsEntry, ModelDistributions
from pytest_kdmem.base.text import count
from pytest_kdmem.report.svg import ACCENT, FAINT, INK, Picture, count_axis, draw_figure, label_of, role_colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANEL_HEIGHT, BELOW_PANELS = 1.05, 0.5  # inches
ROOM_FOR_LABELS = 6.0  # factor by which an axis exceeds the greatest count, which its labels take


def draw_margins(distributions: DistributionsEntry, prefix: str) -> Picture:
    """Draw the histograms below each other, over the same margins and up to the same count.

    At least one model must have a margin.
    """
    models = {role: model for role, model in distributions.models.items() if any(model.margins)}
    filled = [
        index for index in range(len(distributions.edges) - 1) if any(model.margins[index] for model in models.values())
    ]
    bins = range(filled[0], filled[-1] + 1)
    edges = distributions.edges
    greatest = max(max(model.margins) for model in models.values())

    def draw(figure: Figure) -> None:
        rows = figure.subplots(len(models), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
        for axes, (role, model) in zip(rows, models.items(), strict=True):
            _draw_bars(axes, edges, model, bins, role_colour(role))
            count_axis(axes)
            axes.set_ylim(0, ROOM_FOR_LABELS * greatest)
            axes.axvline(0, color=ACCENT, linewidth=1.4, linestyle="--")
            recited, missed = _sides(edges, model)
            _label(axes, f"{label_of(role)}: {count(missed)} below 0", "right", INK)
            _label(axes, f"{count(recited)} recited", "left", ACCENT)
        least, most = (edges[bins[0]], edges[bins[-1] + 1])
        rows[-1].set_xticks([tick for tick in range(-15, 16, 5) if least <= tick <= most])
        # The bar must be seen, and have room for its labels, where no margin reaches it.
        rows[-1].set_xlim(min(least, -1), max(most, 6))
        rows[-1].set_xlabel("margin in logits: from 0 on the example is recited")
        figure.supylabel("examples", fontsize="medium")

    descriptions = []
    for role, model in models.items():
        recited, _ = _sides(edges, model)
        without_margin = f"{count(model.without_margin)} without a margin, because they missed early"
        descriptions.append(f"{role}: {count(recited)} at 0 or above, {without_margin}")
    title = "How far examples are from being recited"
    height = BELOW_PANELS + PANEL_HEIGHT * len(models)
    return draw_figure("margins", title, "; ".join(descriptions), height, draw, prefix)


def _draw_bars(axes: Axes, edges: tuple[float, ...], model: ModelDistributions, bins: range, colour: str) -> None:
    for index in bins:
        width = edges[index + 1] - edges[index]
        is_recited = edges[index] >= 0
        axes.bar(edges[index], model.margins[index], 0.86 * width, align="edge", color=colour if is_recited else FAINT)


def _label(axes: Axes, text: str, side: str, colour: str) -> None:
    """Write beside the bar, at the top of the axes."""
    offset = (6 if side == "left" else -6, -2)
    place: dict[str, Any] = {
        "xycoords": axes.get_xaxis_transform(),
        "textcoords": "offset points",
        "va": "top",
        "ha": side,
    }
    axes.annotate(text, (0, 1), offset, color=colour, **place)


def _sides(edges: tuple[float, ...], model: ModelDistributions) -> tuple[int, int]:
    """Numbers of examples at or above 0, and below it, of which a bound alone is known of those that missed early."""
    recited = sum(examples for edge, examples in zip(edges, model.margins, strict=False) if edge >= 0)
    return recited, sum(model.margins) - recited + model.without_margin
