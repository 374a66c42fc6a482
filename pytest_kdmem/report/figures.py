"""AuditResult → the pictures of its report, each with what it shows in words; none where there is nothing to draw."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from pytest_kdmem.audit.result import AuditResult
from pytest_kdmem.audit.schema import DistributionsEntry, InheritanceEntry, RiskEntry
from pytest_kdmem.base.text import count, percent
from pytest_kdmem.metrics.bounds import lower_bound, upper_bound
from pytest_kdmem.metrics.estimate import Estimate
from pytest_kdmem.report.sanitize import sanitize
from pytest_kdmem.report.svg import ACCENT, FAINT, INK, LINES, MARKERS, Picture, colour_of, composed, picture
from pytest_kdmem.report.venn import CELL_ROWS, roles_in_order
from pytest_kdmem.specs.roles import ROLE_ORDER

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROW = 0.3  # inches


def pictures(audit: AuditResult, prefix: str) -> dict[str, Picture]:
    """By name: rates, sets, scatter, margins, repetition, risk, reliability."""
    return {one.name: one for one in _drawn(audit, prefix)}


def _drawn(audit: AuditResult, prefix: str) -> Iterator[Picture]:
    if rates := {role: audit.memorization[role] for role in roles_in_order(audit) if role in audit.memorization}:
        yield _rates(rates, prefix)
    if audit.inheritance is not None and any(audit.inheritance.cells.get(cell) for cell, *_ in CELL_ROWS):
        yield _sets(audit.inheritance, prefix)
    if audit.distributions is not None:
        if (found := _scatter(audit, audit.distributions, prefix)) is not None:
            yield found
        if any(any(model.margins) for model in audit.distributions.models.values()):
            yield _margins(audit.distributions, prefix)
        if any(model.repetition for model in audit.distributions.models.values()):
            yield _repetition(audit.distributions, prefix)
    if audit.risk is not None and audit.risk.counts:
        yield _risk(audit.risk, prefix)
    if audit.risk is not None and audit.risk.reliability:
        yield _reliability(audit.risk, prefix)


def _named(roles: Sequence[str]) -> list[str]:
    return [sanitize(role, 24).replace("$", r"\$") for role in roles]


def _rates(rates: dict[str, Estimate], prefix: str) -> Picture:
    def draw(axes: Axes) -> None:
        for at, (role, rate) in enumerate(rates.items()):
            low, value, high = (100 * (0.0 if math.isnan(one) else one) for one in (rate.low, rate.value, rate.high))
            axes.plot([low, high], [at, at], color=colour_of(role), linewidth=2)
            axes.plot([value], [at], marker=MARKERS.get(role, "D"), color=colour_of(role), markersize=7)
        axes.set_yticks(range(len(rates)), _named(list(rates)))
        axes.set_ylim(len(rates) - 0.5, -0.5)
        axes.set_xlim(left=0)
        axes.set_xlabel("memorized, % of distinct examples; the line reaches from lower to upper bound")

    said = "; ".join(f"{role} {rate}" for role, rate in rates.items())
    return picture("rates", "Memorization rates", said, 0.9 + ROW * len(rates), draw, prefix)


def _sets(entry: InheritanceEntry, prefix: str) -> Picture:
    sizes = [entry.cells.get(cell, 0) for cell, *_ in CELL_ROWS]

    def draw(figure: Figure) -> None:
        matrix, bars = figure.subplots(1, 2, width_ratios=(1, 6), sharey=True)
        for at, (cell, members, _) in enumerate(CELL_ROWS):
            inside = [place for place, member in enumerate(members) if member == "1"]
            colour = ACCENT if cell == "teacher+student" else INK
            matrix.plot(range(3), [at] * 3, "o", color=FAINT, markersize=6, markerfacecolor="none")
            matrix.plot(inside, [at] * len(inside), "-o", color=colour, markersize=6)
            bars.barh(at, sizes[at], color=colour, height=0.6)
            bars.annotate(count(sizes[at]), (sizes[at], at), (4, 0), textcoords="offset points", va="center")
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

    said = "; ".join(f"{called}: {count(size)}" for (_, _, called), size in zip(CELL_ROWS, sizes, strict=True))
    return composed("sets", "Who recites the same examples, drawn to scale", said, 2.4, draw, prefix)


def _scatter(audit: AuditResult, distributions: DistributionsEntry, prefix: str) -> Picture | None:
    """The first model whose perplexities are known: what it recites, over what it does not."""
    entry, known = audit.examples, [role for role in ROLE_ORDER if role in distributions.models]
    role = next((role for role in known if distributions.models[role].perplexity), None)
    if entry is None or role is None or role not in entry.models:
        return None
    background, columns = distributions.models[role], entry.models[role]
    recited = [
        (size, perplexity)
        for size, perplexity, memorized in zip(entry.zlib_bytes, columns.perplexity, columns.memorized, strict=True)
        if memorized and size is not None and perplexity is not None
    ][:2000]

    def draw(axes: Axes) -> None:
        axes.scatter(background.zlib_bytes, background.perplexity, s=6, c=FAINT, linewidths=0, label="not recited")
        if recited:
            x, y = zip(*recited, strict=True)
            axes.scatter(x, y, s=22, c=colour_of(role), marker="x", linewidths=1, label=f"recited by the {role}")
        axes.set_yscale("log")
        axes.set_xlabel("zlib-compressed window, bytes")
        axes.set_ylabel(f"perplexity of the {role}")
        axes.legend()

    said = f"{count(len(recited))} examples that the {role} recites over {len(background.perplexity)} that it does not."
    return picture("scatter", "Compressibility and perplexity", said, 3.4, draw, prefix)


def _margins(distributions: DistributionsEntry, prefix: str) -> Picture:
    shown = {role: model for role, model in distributions.models.items() if any(model.margins)}
    filled = [at for at in range(len(distributions.edges) - 1) if any(model.margins[at] for model in shown.values())]
    first, last = filled[0], filled[-1] + 1
    edges = distributions.edges[first : last + 1]

    def draw(axes: Axes) -> None:
        for role, model in shown.items():
            values = [float(one) for one in model.margins[first:last]]
            line = LINES.get(role, ":")
            axes.stairs(values, edges, color=colour_of(role), linestyle=line, linewidth=1.6, label=_named([role])[0])
        axes.axvline(0, color=INK, linewidth=0.8)
        axes.set_yscale("symlog", linthresh=1)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("margin, logits: right of 0 the example is recited")
        axes.set_ylabel("examples")
        axes.legend()

    told = []
    for role, model in shown.items():
        above = sum(n for edge, n in zip(distributions.edges, model.margins, strict=False) if edge >= 0)
        unknown = f"{count(model.without_margin)} without a margin as they missed early"
        told.append(f"{role}: {count(above)} at 0 or above, {unknown}")
    return picture("margins", "How far examples are from being recited", "; ".join(told), 2.8, draw, prefix)


def _repetition(distributions: DistributionsEntry, prefix: str) -> Picture:
    shown = {role: model.repetition for role, model in distributions.models.items() if model.repetition}
    places = sorted({(one.least, one.most) for bins in shown.values() for one in bins})

    def draw(axes: Axes) -> None:
        for shift, (role, bins) in enumerate(shown.items()):
            x = [places.index((one.least, one.most)) + 0.12 * (shift - (len(shown) - 1) / 2) for one in bins]
            y = [100 * one.memorized / one.n for one in bins]
            bounds = [
                (lower_bound(one.memorized, one.n, 0.95), upper_bound(one.memorized, one.n, 0.95)) for one in bins
            ]
            low = [max(0.0, at - 100 * bound) for at, (bound, _) in zip(y, bounds, strict=True)]
            high = [max(0.0, 100 * bound - at) for at, (_, bound) in zip(y, bounds, strict=True)]
            how: dict[str, Any] = {"color": colour_of(role), "marker": MARKERS.get(role, "D"), "markersize": 5}
            how |= {"linestyle": LINES.get(role, ":"), "elinewidth": 0.8, "label": _named([role])[0]}
            axes.errorbar(x, y, (low, high), **how)
        names = [f"{least}–{most}" if least < most else f"{most}" for least, most in places]
        axes.set_xticks(range(len(places)), names)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("times in the training set")
        axes.set_ylabel("memorized, %")
        axes.legend()

    told = [
        f"{role}: " + ", ".join(f"{percent(one.memorized / one.n)} of {count(one.n)} at {one.most}" for one in bins)
        for role, bins in shown.items()
    ]
    return picture("repetition", "Rate against repetition", "; ".join(told), 2.8, draw, prefix)


def _risk(entry: RiskEntry, prefix: str) -> Picture:
    above = list(accumulate(reversed(entry.counts)))[::-1]
    starts = [max(edge, entry.edges[1] / 2) for edge in entry.edges[:-1]]

    def draw(axes: Axes) -> None:
        axes.step([*starts, entry.edges[-1]], [*above, above[-1]], where="post", color=INK, linewidth=1.6)
        axes.axvline(entry.threshold, color=ACCENT, linewidth=1, linestyle="--")
        axes.annotate(" threshold", (entry.threshold, max(above)), color=ACCENT, va="top")
        axes.set_xscale("log")
        axes.set_yscale("symlog", linthresh=1)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("predicted risk")
        axes.set_ylabel("examples of that risk or more")

    said = f"{count(len(entry.examples))} examples at or above the threshold of {entry.threshold:.2g}."
    return picture("risk", "Predicted risk", said, 2.8, draw, prefix)


def _reliability(entry: RiskEntry, prefix: str) -> Picture:
    def draw(axes: Axes) -> None:
        for at, one in enumerate(entry.reliability):
            axes.plot([at, at], [100 * one.low, 100 * one.high], color=FAINT, linewidth=6, solid_capstyle="butt")
            axes.plot([at], [100 * one.expected], marker="_", color=INK, markersize=12, linestyle="none")
            axes.plot([at], [100 * one.observed], marker="o", color=ACCENT, markersize=5, linestyle="none")
        names = [f"{one.lower:g}–{one.upper:g}\n({count(one.n)})" for one in entry.reliability]
        axes.set_xticks(range(len(names)), names)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("predicted risk (examples)")
        axes.set_ylabel("memorized, %")

    held = sum(one.covers_observed for one in entry.reliability)
    said = (
        f"In {held} of {len(entry.reliability)} bins what was memorized (point) lies in the range to be expected (bar)"
        " around the mean risk (dash)."
    )
    return picture("reliability", "Whether risks come true", said, 2.8, draw, prefix)
