"""Draws the pictures of an audit's HTML report, and leaves out those that have no data."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from pytest_kdmem.auditing.result import AuditResult
from pytest_kdmem.auditing.schema import InheritanceEntry
from pytest_kdmem.auditing.schema_examples import DistributionsEntry, RepetitionBin
from pytest_kdmem.base.text import count, percent
from pytest_kdmem.metrics.bounds import lower_bound, upper_bound
from pytest_kdmem.metrics.estimate import Estimate
from pytest_kdmem.report.margin_figures import draw_margins
from pytest_kdmem.report.risk_figures import draw_reliability, draw_risk
from pytest_kdmem.report.step_figures import draw_curves, memorization_curves
from pytest_kdmem.report.svg import (
    ACCENT,
    FAINT,
    INK,
    LINES,
    MARKERS,
    Picture,
    draw_axes,
    draw_figure,
    label_of,
    plain_numbers,
    role_colour,
)
from pytest_kdmem.report.venn import CELLS, INHERITED, ordered_roles
from pytest_kdmem.specs.roles import ROLE_ORDER

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROW_HEIGHT = 0.3  # inches
MAX_POINTS = 2000
REPETITION_CONFIDENCE = 0.95


def draw_pictures(audit: AuditResult, prefix: str) -> dict[str, Picture]:
    """Return the pictures by name: rates, sets, steps, scatter, margins, repetition, risk, reliability.

    Args:
        audit: The audit to draw.
        prefix: Prefix of all ids in the SVGs.
    """
    return {picture.name: picture for picture in _pictures(audit, prefix)}


def _pictures(audit: AuditResult, prefix: str) -> Iterator[Picture]:
    if rates := {role: audit.memorization[role] for role in ordered_roles(audit) if role in audit.memorization}:
        yield _draw_rates(rates, _rate_limits(audit), prefix)
    if audit.inheritance is not None and any(audit.inheritance.cells.get(cell.key) for cell in CELLS):
        yield _draw_sets(audit.inheritance, prefix)
    if curves := memorization_curves(audit):
        yield draw_curves(curves, prefix)
    if audit.distributions is not None:
        if (scatter := _draw_scatter(audit, audit.distributions, prefix)) is not None:
            yield scatter
        if any(any(model.margins) for model in audit.distributions.models.values()):
            yield draw_margins(audit.distributions, prefix)
        if any(model.repetition for model in audit.distributions.models.values()):
            yield _draw_repetition(audit.distributions, prefix)
    if audit.risk is not None and audit.risk.counts:
        yield draw_risk(audit.risk, prefix)
    if audit.risk is not None and audit.risk.reliability:
        yield draw_reliability(audit.risk, prefix)


def _rate_limits(audit: AuditResult) -> dict[str, float]:
    """Return for each role the strictest threshold that a gate holds against its memorization rate."""
    limits: dict[str, float] = {}
    for gate in audit.gates:
        estimate, threshold = gate.estimate, gate.threshold
        if estimate is None or estimate.metric != "memorization rate" or not isinstance(threshold, float | int):
            continue
        drawn = audit.memorization.get(estimate.subject)
        # A gate may be over the control set, of which the picture shows nothing.
        is_drawn = drawn is not None and (drawn.k, drawn.n) == (estimate.k, estimate.n)
        if is_drawn and gate.operator in ("<=", "<"):
            limits[estimate.subject] = min(threshold, limits.get(estimate.subject, math.inf))
    return limits


def _draw_rates(rates: dict[str, Estimate], limits: dict[str, float], prefix: str) -> Picture:
    def draw(axes: Axes) -> None:
        for row, (role, rate) in enumerate(rates.items()):
            low, value, high = (
                100 * (0.0 if math.isnan(figure) else figure) for figure in (rate.low, rate.value, rate.high)
            )
            axes.plot([low, high], [row, row], color=role_colour(role), linewidth=2)
            axes.plot([value], [row], marker=MARKERS.get(role, "D"), color=role_colour(role), markersize=7)
            if role in limits:
                limit = 100 * limits[role]
                axes.plot([limit, limit], [row - 0.4, row + 0.4], color=ACCENT, linewidth=1.4, linestyle="--")
                text = f"at most {percent(limits[role])}"
                axes.annotate(text, (limit, row + 0.3), (4, 0), textcoords="offset points", va="center", color=ACCENT)
        axes.set_yticks(range(len(rates)), [label_of(role) for role in rates])
        axes.set_ylim(len(rates) - 0.5, -0.5)
        axes.set_xlim(left=0)
        axes.set_xlabel("memorized, % of distinct examples;\nthe line reaches from lower to upper bound")

    described = (f"{role} {rate}{_limit_text(limits.get(role))}" for role, rate in rates.items())
    return draw_axes("rates", "Memorization rates", "; ".join(described), 1.0 + ROW_HEIGHT * len(rates), draw, prefix)


def _limit_text(limit: float | None) -> str:
    return "" if limit is None else f", at most {percent(limit)} allowed"


def _draw_sets(entry: InheritanceEntry, prefix: str) -> Picture:
    """Draw an UpSet plot: a matrix of who recites each cell, and a bar of the cell's size."""
    sizes = [entry.cells.get(cell.key, 0) for cell in CELLS]

    def draw(figure: Figure) -> None:
        matrix, bars = figure.subplots(1, 2, width_ratios=(1, 6), sharey=True)
        for row, cell in enumerate(CELLS):
            members = [column for column, member in enumerate(cell.members) if member == "1"]
            colour = ACCENT if cell.key == INHERITED else INK
            matrix.plot(range(3), [row] * 3, "o", color=FAINT, markersize=6, markerfacecolor="none")
            matrix.plot(members, [row] * len(members), "-o", color=colour, markersize=6)
            bars.barh(row, sizes[row], color=colour, height=0.6)
            bars.annotate(count(sizes[row]), (sizes[row], row), (4, 0), textcoords="offset points", va="center")
        matrix.set_xticks(range(3), ["T", "B", "S"])
        matrix.xaxis.tick_top()
        matrix.set_yticks([])
        matrix.set_xlim(-0.6, 2.6)
        matrix.set_ylim(len(sizes) - 0.4, -0.6)
        matrix.spines[:].set_visible(False)
        matrix.tick_params(length=0)
        bars.spines[["left", "bottom"]].set_visible(False)
        bars.set_xticks([])
        bars.margins(x=0.12)
        bars.tick_params(length=0)

    description = "; ".join(f"{cell.label}: {count(size)}" for cell, size in zip(CELLS, sizes, strict=True))
    return draw_figure("sets", "Who recites the same examples, drawn to scale", description, 2.4, draw, prefix)


def _draw_scatter(audit: AuditResult, distributions: DistributionsEntry, prefix: str) -> Picture | None:
    """Draw what a model recites over what it does not, for the first model with perplexities."""
    entry = audit.examples
    role = next(
        (role for role in ROLE_ORDER if role in distributions.models and distributions.models[role].perplexity), None
    )
    if entry is None or role is None or role not in entry.models:
        return None
    background, columns = distributions.models[role], entry.models[role]
    points = (
        (size, perplexity)
        for size, perplexity, memorized in zip(entry.zlib_bytes, columns.perplexity, columns.memorized, strict=True)
        if memorized and size is not None and perplexity is not None
    )
    recited = list(islice(points, MAX_POINTS))

    def draw(axes: Axes) -> None:
        axes.scatter(background.zlib_bytes, background.perplexity, s=6, c=FAINT, linewidths=0, label="not recited")
        if recited:
            x, y = zip(*recited, strict=True)
            axes.scatter(x, y, s=22, c=role_colour(role), marker="x", linewidths=1, label=f"recited by the {role}")
        axes.set_yscale("log")
        plain_numbers(axes.yaxis)
        axes.set_xlabel("zlib-compressed window, bytes")
        axes.set_ylabel(f"perplexity of the {role}")
        axes.legend()

    description = (
        f"{count(len(recited))} examples that the {role} recites over {len(background.perplexity)} that it does not."
    )
    return draw_axes("scatter", "Compressibility and perplexity", description, 3.4, draw, prefix)


def _draw_repetition(distributions: DistributionsEntry, prefix: str) -> Picture:
    bins_by_role = {role: model.repetition for role, model in distributions.models.items() if model.repetition}
    ranges = sorted({(bucket.least, bucket.most) for bins in bins_by_role.values() for bucket in bins})

    def draw(axes: Axes) -> None:
        for index, (role, bins) in enumerate(bins_by_role.items()):
            offset = 0.12 * (index - (len(bins_by_role) - 1) / 2)  # so that the error bars of two models do not overlap
            x = [ranges.index((bucket.least, bucket.most)) + offset for bucket in bins]
            rates, errors = _rates_with_errors(bins)
            style: dict[str, Any] = {"color": role_colour(role), "marker": MARKERS.get(role, "D"), "markersize": 5}
            style |= {"linestyle": LINES.get(role, ":"), "elinewidth": 0.8, "label": label_of(role)}
            axes.errorbar(x, rates, errors, **style)
        axes.set_xticks(
            range(len(ranges)), [f"{least}–{most}" if least < most else f"{most}" for least, most in ranges]
        )
        axes.set_ylim(bottom=0)
        axes.set_xlabel("times in the training set")
        axes.set_ylabel("memorized, %")
        axes.legend()

    descriptions = [
        f"{role}: "
        + ", ".join(f"{percent(bucket.memorized / bucket.n)} of {count(bucket.n)} at {bucket.most}" for bucket in bins)
        for role, bins in bins_by_role.items()
    ]
    return draw_axes("repetition", "Rate against repetition", "; ".join(descriptions), 2.8, draw, prefix)


def _rates_with_errors(bins: Sequence[RepetitionBin]) -> tuple[list[float], tuple[list[float], list[float]]]:
    """Return the rate of each bin in percent, and how far its lower and upper bound are from it."""
    rates = [100 * bucket.memorized / bucket.n for bucket in bins]
    lower = [lower_bound(bucket.memorized, bucket.n, REPETITION_CONFIDENCE) for bucket in bins]
    upper = [upper_bound(bucket.memorized, bucket.n, REPETITION_CONFIDENCE) for bucket in bins]
    below = [max(0.0, rate - 100 * bound) for rate, bound in zip(rates, lower, strict=True)]
    above = [max(0.0, 100 * bound - rate) for rate, bound in zip(rates, upper, strict=True)]
    return rates, (below, above)
