"""Plots of the findings as SVG: told apart by marker and line, so that they read in grey; the same bytes each time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pytest_kdmem.base.text import percent
from pytest_kdmem.study.findings import cluster, forced
from pytest_kdmem.study.findings.examples import drawn
from pytest_kdmem.study.findings.figures import spread
from pytest_kdmem.study.findings.pilot import pilot
from pytest_kdmem.study.findings.rates import SettingRates, rates
from pytest_kdmem.study.findings.repetition import Repetition, repetition
from pytest_kdmem.study.findings.temperature import Sweep, temperature
from pytest_kdmem.study.record import Study

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# role → colour, marker, line; the colours differ in lightness, too.
STYLES: dict[str, tuple[str, str, str]] = {
    "teacher": ("#000000", "s", "-"),
    "baseline": ("#0072b2", "o", "--"),
    "soft": ("#e69f00", "^", "-."),
    "hard": ("#a0a0a0", "D", ":"),
}
# Two panels side by side, each little wider than its labels, so that these are legible on a narrow screen, too.
COLUMNS = 2
PANEL = (3.3, 3.0)  # inches
STYLE: dict[Any, Any] = {
    "font.size": 10.0, "axes.titlesize": 10.0, "legend.fontsize": 8.5, "legend.framealpha": 0.7,
    "legend.handletextpad": 0.4, "axes.spines.top": False, "axes.spines.right": False,
    # Ids and dates in an SVG would differ from run to run.
    "svg.hashsalt": "kdmem", "svg.fonttype": "none",
}  # fmt: skip
MOST_DRAWN = 2000
LOST = "T∩B∖S"
MEMORIZED = "memorized, % of distinct"
Panel = Callable[["Axes"], None]


def write_plots(study: Study, out: Path) -> tuple[Path, ...]:
    """Write an SVG for each finding that has something to draw; the paths."""
    import matplotlib

    drawings: dict[str, list[tuple[str, Panel]]] = {
        "rates": [
            *((_name(each), _rates(each)) for each in rates(study) if _has_rate(each)),
            *((f"{_name(each)}, pilot", _rates(each)) for each in pilot(study) if _has_rate(each)),
        ],
        "zlib-perplexity": [
            (f"{each.setting}, seed {each.seed}", _cluster(each))
            for each in cluster.points(study)
            if len(each.easy_zlib) + len(each.random_zlib)
        ],
        "entropy-logprob": [
            (f"{groups[0].setting}, seed {groups[0].seed}", _forced(drawn_groups))
            for groups in forced.points(study)
            if (drawn_groups := [each for each in groups if _is_drawn(each) and len(each.entropy)])
            and any(each.group == LOST for each in drawn_groups)
        ],
        "repetition": [(_name(each), _repetition(each)) for each in repetition(study) if _has_rate(each)],
        "temperature": [(f"{_name(each)}, seed {each.seed}", _temperature(each)) for each in temperature(study)],
    }
    paths = []
    with matplotlib.rc_context(STYLE):
        for name, panels in drawings.items():
            if panels:
                paths.append(out / f"{name}.svg")
                _drawn(panels).savefig(paths[-1], format="svg", metadata={"Date": None})
    return tuple(paths)


def _drawn(panels: Sequence[tuple[str, Panel]]) -> Figure:
    """Panels side by side, each under its title."""
    from matplotlib.figure import Figure

    columns = min(COLUMNS, len(panels))
    lines = -(-len(panels) // columns)
    drawing = Figure(figsize=(PANEL[0] * columns, PANEL[1] * lines), layout="constrained")
    drawing.set_layout_engine("constrained", h_pad=0.1)  # of inches
    places = list(drawing.subplots(lines, columns, squeeze=False).flat)
    for axes, (title, draw) in zip(places, panels, strict=False):
        draw(axes)
        axes.set_title(title)
    for axes in places[len(panels) :]:
        axes.set_axis_off()
    return drawing


def _name(result: SettingRates | Repetition | Sweep) -> str:
    return f"{result.family}, {result.dataset}"


def _has_rate(result: SettingRates | Repetition) -> bool:
    parts = result.roles if isinstance(result, SettingRates) else result.buckets
    return any(share.value is not None for part in parts for share in part.memorized)


def _is_drawn(group: forced.CertaintyPoints) -> bool:
    return group.group == LOST or (group.group, group.model) == ("random", "baseline")


def _rates(setting: SettingRates) -> Panel:
    """Rate by role: a bar for the mean over seeds, a point for each seed."""

    def draw(axes: Axes) -> None:
        jitter = np.random.default_rng(0)
        for at, role in enumerate(setting.roles):
            rates = [share.value for share in role.memorized]
            values = [100 * rate for rate in rates if rate is not None]
            mean, top = spread(rates).mean, max(values, default=0.0)
            axes.bar(at, 100 * (mean or 0.0), color="#e6e6e6", edgecolor="#808080", width=0.6)
            if mean is not None:
                axes.annotate(percent(mean), (at, top), (0, 6), textcoords="offset points", ha="center", fontsize=8.5)
            colour, marker, _ = STYLES[role.role]
            beside = at + jitter.uniform(-0.15, 0.15, len(values))
            axes.scatter(
                beside, values, c=colour, marker=marker, edgecolors="black", linewidths=0.6, zorder=3, clip_on=False
            )
        axes.set_xticks(range(len(setting.roles)), [f"{role.role}\n(n = {len(role.seeds)})" for role in setting.roles])
        axes.set_ylabel(MEMORIZED)
        axes.margins(y=0.12)
        axes.set_ylim(bottom=0)

    return draw


def _cluster(points: cluster.ClusterPoints) -> Panel:
    """The easy set over random examples."""

    def draw(axes: Axes) -> None:
        random = drawn(np.ones(len(points.random_zlib), dtype=bool), MOST_DRAWN)
        x, y = points.random_zlib[random], points.random_perplexity[random]
        axes.scatter(x, y, s=8, c="#b8b8b8", marker="o", linewidths=0, label=f"random ({len(x)})")
        x, y = points.easy_zlib, points.easy_perplexity
        axes.scatter(x, y, s=24, c="black", marker="x", linewidths=0.9, label=f"easy, T∩B∩S ({len(x)})")
        axes.set_xlabel("zlib-compressed window, bytes")
        axes.set_ylabel("perplexity of the baseline")
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(_plain)
        axes.margins(y=0.25)  # for the legend
        axes.legend(loc="upper left")

    return draw


def _forced(groups: Sequence[forced.CertaintyPoints]) -> Panel:
    """T∩B∖S under each model, over random examples under the baseline."""

    def draw(axes: Axes) -> None:
        for each in groups:
            if (each.group, each.model) == ("random", "baseline"):
                label = f"random, baseline ({len(each.entropy)})"
                axes.scatter(each.entropy, each.logprob, s=8, c="#d0d0d0", marker=".", label=label, zorder=0)
            elif each.group == LOST:
                colour, marker, _ = STYLES[each.model]
                label = f"T∩B∖S, {each.model} ({len(each.entropy)})"
                axes.scatter(
                    each.entropy, each.logprob, s=20, facecolors="none", edgecolors=colour, marker=marker, label=label
                )
        axes.set_xlabel("entropy over the suffix, nats a token")
        axes.set_ylabel("log-probability of the suffix, nats")
        axes.set_yscale("symlog")
        axes.yaxis.set_major_formatter(_plain)
        axes.legend(loc="upper right")

    return draw


def _repetition(result: Repetition) -> Panel:
    """Rate against copies in D, a line per role through its mean over seeds."""

    def draw(axes: Axes) -> None:
        for role, (colour, marker, line) in STYLES.items():
            of_role = [bucket for bucket in result.buckets if bucket.role == role]
            if not of_role:
                continue
            means = [spread(share.value for share in bucket.memorized).mean for bucket in of_role]
            shown = [
                (bucket.copies, 100 * mean) for bucket, mean in zip(of_role, means, strict=True) if mean is not None
            ]
            if shown:
                x, y = zip(*shown, strict=True)
                axes.plot(x, y, color=colour, marker=marker, linestyle=line, label=role, clip_on=False)
        copies = sorted({bucket.copies for bucket in result.buckets})
        axes.set_xscale("log", base=2)
        axes.set_xticks(copies, [str(each) for each in copies])
        axes.set_xlabel("times in the training set")
        axes.set_ylabel(MEMORIZED)
        axes.set_ylim(bottom=0)
        axes.legend()

    return draw


def _temperature(sweep: Sweep) -> Panel:
    """Rate of the soft student against the temperature it was distilled at."""

    def draw(axes: Axes) -> None:
        colour, marker, line = STYLES["soft"]
        temperatures = [point.temperature for point in sweep.points]
        rates = [100 * (point.memorized.value or 0.0) for point in sweep.points]
        (drawn_line,) = axes.plot(temperatures, rates, color=colour, marker=marker, linestyle=line, clip_on=False)
        drawn_line.set_markeredgecolor("black")
        axes.set_xticks(temperatures, [f"{each:g}" for each in temperatures])
        axes.set_xlabel("temperature of distillation")
        axes.set_ylabel(MEMORIZED)
        axes.set_ylim(bottom=0)

    return draw


def _plain(value: float, _: object) -> str:
    """Return a number of a logarithmic axis, written out and not as a power."""
    return f"{value:g}"
