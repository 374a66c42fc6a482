"""Draws matplotlib figures as inline SVG that follows the page's light or dark colours."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from pytest_kdmem.base.text import count
from pytest_kdmem.report.sanitize import sanitize

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

# Placeholder colours. Each is replaced by a CSS variable of the page after drawing.
INK, FAINT, ACCENT = "#000001", "#000002", "#000003"
ROLE_COLOURS = {"teacher": "#000011", "baseline": "#000012", "student": "#000013"}
OTHER_COLOUR = "#000014"
CSS_VARIABLES = {INK: "ink", FAINT: "faint", ACCENT: "accent", OTHER_COLOUR: "other"} | {
    colour: role for role, colour in ROLE_COLOURS.items()
}
# Matches a placeholder only inside a style or a colour attribute, so that a label of the same text stays as it is.
COLOUR = re.compile(rf"((?:fill|stroke|stop-color)[:=]\s*\"?)({'|'.join(CSS_VARIABLES)})(?=[\";])")
# Markers and line styles tell the roles apart without colour.
MARKERS = {"teacher": "s", "baseline": "o", "student": "^"}
LINES = {"teacher": "-", "baseline": "--", "student": "-."}
WIDTH = 4.3  # inches; the wider, the smaller are labels on a narrow screen
# A description names every model and its figures.
MAX_DESCRIPTION_LENGTH = 20_000
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "kdmem", "svg.fonttype": "none", "font.size": 10.0, "font.family": "sans-serif",
    "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": FAINT, "axes.facecolor": "none",
    "figure.facecolor": "none", "xtick.color": INK, "ytick.color": INK, "grid.color": FAINT, "legend.frameon": False,
    "axes.spines.top": False, "axes.spines.right": False,
}  # fmt: skip


@dataclass(frozen=True)
class Picture:
    """An SVG with its name, its title, and a description of what it shows."""

    name: str
    title: str
    description: str
    svg: Markup


def draw_axes(
    name: str, title: str, description: str, height: float, draw: Callable[[Axes], None], prefix: str
) -> Picture:
    """Draw a picture that has one pair of axes.

    Args:
        height: Height in inches.
        draw: Draws into the axes.
        prefix: Prefix of all ids in the SVG. It must differ between the audits of a page.
    """
    return draw_figure(name, title, description, height, lambda figure: draw(figure.subplots()), prefix)


def draw_figure(
    name: str, title: str, description: str, height: float, draw: Callable[[Figure], None], prefix: str
) -> Picture:
    """Draw a picture whose axes ``draw`` creates; the arguments are those of `draw_axes`."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about letters that matplotlib's font lacks: the browser's fonts have them
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        draw(figure)
        sink = io.StringIO()
        figure.savefig(sink, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    description = sanitize(description, MAX_DESCRIPTION_LENGTH)
    return Picture(name, title, description, _inline(sink.getvalue(), f"{prefix}-{name}", title, description))


def count_axis(axes: Axes) -> None:
    """Let the y axis show counts: 0, 1, 10, 100 and so on, each written out."""
    from matplotlib.ticker import NullLocator

    axes.set_yscale("symlog", linthresh=1)
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(lambda value, _: count(round(value)))


def plain_numbers(axis: Axis) -> None:
    """Let a logarithmic axis show 1, 2, 5, 10 and so on, each written out and not as a power."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.set_minor_formatter(NullFormatter())


def label_of(role: str) -> str:
    """Return a role or a name as a label of a picture."""
    return sanitize(role, 24).replace("$", r"\$")  # matplotlib reads text between dollar signs as mathematics


def role_colour(role: str) -> str:
    """Return the placeholder colour of a role."""
    return ROLE_COLOURS.get(role, OTHER_COLOUR)


def _inline(svg: str, prefix: str, title: str, description: str) -> Markup:
    """Return the drawing as an ``svg`` element with unique ids, a title, and a description for screen readers."""
    content = svg[svg.index("<svg") :]
    view_box = re.search(r'viewBox="([\d. ]+)"', content)
    content = content[content.index(">") + 1 : content.rindex("</svg>")]
    content = re.sub(r"(?s)<metadata>.*?</metadata>|<style[^>]*>.*?</style>", "", content)
    content = re.sub(r'\bid="', f'id="{prefix}-', content)
    content = content.replace('xlink:href="#', f'href="#{prefix}-').replace("url(#", f"url(#{prefix}-")
    content = COLOUR.sub(lambda colour: f"{colour[1]}var(--{CSS_VARIABLES[colour[2]]})", content)
    head = Markup('<svg viewBox="{}" role="img" aria-labelledby="{}-t {}-d"><title id="{}-t">{}</title>').format(
        view_box[1] if view_box else "0 0 1 1", prefix, prefix, prefix, title
    )
    # The only foreign text in matplotlib's SVG is that of labels, which matplotlib escapes.
    return head + Markup('<desc id="{}-d">{}</desc>').format(prefix, escape(description)) + Markup(content + "</svg>")
