"""Plots of the findings as SVG: told apart by marker and line, so that they read in grey; the same bytes each time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

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
COLUMNS = 3
MOST_DRAWN = 2000
PANEL = (4.0, 3.4)  # inches
Panel = Callable[["Axes"], None]


def write_plots(study: Study, out: Path) -> tuple[Path, ...]:
    """Write an SVG for each finding that has something to draw; the paths."""
    import matplotlib

    drawings: dict[str, list[tuple[str, Panel]]] = {
        "rates": [
            *((_name(each), _rates(each)) for each in rates(study)),
            *((f"{_name(each)}, pilot", _rates(each)) for each in pilot(study)),
        ],
        "zlib-perplexity": [(f"{each.setting}, seed {each.seed}", _cluster(each)) for each in cluster.points(study)],
        "entropy-logprob": [(f"{e[0].setting}, seed {e[0].seed}", _forced(e)) for e in forced.points(study)],
        "repetition": [(_name(each), _repetition(each)) for each in repetition(study)],
        "temperature": [(f"{_name(each)}, seed {each.seed}", _temperature(each)) for each in temperature(study)],
    }
    paths = []
    # Ids and dates in an SVG would differ from run to run.
    with matplotlib.rc_context({"svg.hashsalt": "kdmem", "svg.fonttype": "none", "font.size": 9.0}):
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
    places = list(drawing.subplots(lines, columns, squeeze=False).flat)
    for axes, (title, draw) in zip(places, panels, strict=False):
        draw(axes)
        axes.set_title(title)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in places[len(panels) :]:
        axes.set_axis_off()
    return drawing


def _name(result: SettingRates | Repetition | Sweep) -> str:
    return f"{result.family}, {result.dataset}"


def _rates(setting: SettingRates) -> Panel:
    """Rate by role: a bar for the mean over seeds, a point for each seed."""

    def draw(axes: Axes) -> None:
        jitter = np.random.default_rng(0)
        for at, role in enumerate(setting.roles):
            rates = [share.value for share in role.memorized]
            values = [100 * rate for rate in rates if rate is not None]
            axes.bar(at, 100 * (spread(rates).mean or 0.0), color="#e6e6e6", edgecolor="#808080", width=0.6)
            colour, marker, _ = STYLES[role.role]
            beside = at + jitter.uniform(-0.15, 0.15, len(values))
            axes.scatter(beside, values, c=colour, marker=marker, edgecolors="black", linewidths=0.6, zorder=3)
        axes.set_xticks(range(len(setting.roles)), [f"{role.role}\n(n = {len(role.seeds)})" for role in setting.roles])
        axes.set_ylabel("memorized (% of distinct examples)")
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
        axes.set_xlabel("zlib-compressed window (bytes)")
        axes.set_ylabel("perplexity of the baseline")
        if len(points.easy_zlib) + len(points.random_zlib):  # a logarithmic axis of nothing has no ticks
            axes.set_yscale("log")
        axes.legend()

    return draw


def _forced(groups: Sequence[forced.CertaintyPoints]) -> Panel:
    """T∩B∖S under each model, over random examples under the baseline."""

    def draw(axes: Axes) -> None:
        for each in groups:
            if (each.group, each.model) == ("random", "baseline"):
                label = f"random, baseline ({len(each.entropy)})"
                axes.scatter(each.entropy, each.logprob, s=8, c="#d0d0d0", marker=".", label=label, zorder=0)
            elif each.group == "T∩B∖S":
                colour, marker, _ = STYLES[each.model]
                label = f"T∩B∖S, {each.model} ({len(each.entropy)})"
                axes.scatter(
                    each.entropy, each.logprob, s=20, facecolors="none", edgecolors=colour, marker=marker, label=label
                )
        axes.set_xlabel("mean entropy over the suffix (nats a token)")
        axes.set_ylabel("log-probability of the suffix (nats)")
        axes.set_yscale("symlog")
        axes.legend()

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
            axes.plot(*zip(*shown, strict=True), color=colour, marker=marker, linestyle=line, label=role)
        copies = sorted({bucket.copies for bucket in result.buckets})
        axes.set_xscale("log", base=2)
        axes.set_xticks(copies, [str(each) for each in copies])
        axes.set_xlabel("times in the training set")
        axes.set_ylabel("memorized (% of distinct examples)")
        axes.legend()

    return draw


def _temperature(sweep: Sweep) -> Panel:
    """Rate of the soft student against the temperature it was distilled at."""

    def draw(axes: Axes) -> None:
        colour, marker, line = STYLES["soft"]
        temperatures = [point.temperature for point in sweep.points]
        rates = [100 * (point.memorized.value or 0.0) for point in sweep.points]
        axes.plot(temperatures, rates, color=colour, marker=marker, linestyle=line, markeredgecolor="black")
        axes.set_xticks(temperatures, [f"{each:g}" for each in temperatures])
        axes.set_xlabel("temperature of distillation")
        axes.set_ylabel("memorized (% of distinct examples)")
        axes.set_ylim(bottom=0)

    return draw
