"""A drawing of matplotlib → SVG that stands in a page: it follows light and dark, and no id in it occurs twice."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Colours that stand for a variable of the page's style.
INK, FAINT, ACCENT = "#000001", "#000002", "#000003"
ROLES = {"teacher": "#000011", "baseline": "#000012", "student": "#000013"}
OTHER = "#000014"
VARIABLES = {INK: "ink", FAINT: "faint", ACCENT: "accent", OTHER: "other"} | {
    colour: role for role, colour in ROLES.items()
}
# Where a style names one, and not in a label: text stands between tags.
COLOUR = re.compile(rf"((?:fill|stroke|stop-color)[:=]\s*\"?)({'|'.join(VARIABLES)})(?=[\";])")
# Told apart by marker and line as well as by colour.
MARKERS = {"teacher": "s", "baseline": "o", "student": "^"}
LINES = {"teacher": "-", "baseline": "--", "student": "-."}
WIDTH = 6.4  # inches, of every picture
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "kdmem", "svg.fonttype": "none", "font.size": 9.0, "font.family": "sans-serif",
    "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": FAINT, "axes.facecolor": "none",
    "figure.facecolor": "none", "xtick.color": INK, "ytick.color": INK, "grid.color": FAINT, "legend.frameon": False,
    "axes.spines.top": False, "axes.spines.right": False,
}  # fmt: skip


@dataclass(frozen=True)
class Picture:
    """An SVG, what it is called, and what it shows in words."""

    name: str
    title: str
    description: str
    svg: Markup


def picture(
    name: str, title: str, description: str, height: float, draw: Callable[[Axes], None], prefix: str
) -> Picture:
    """One drawing on one pair of axes.

    Args:
        height: in inches.
        prefix: of its ids, another for each picture of a page.
    """

    def on(figure: Figure) -> None:
        draw(figure.subplots())

    return composed(name, title, description, height, on, prefix)


def composed(
    name: str, title: str, description: str, height: float, draw: Callable[[Figure], None], prefix: str
) -> Picture:
    """A drawing of several axes, which ``draw`` makes."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # letters that its font lacks: the reader's fonts draw them
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        draw(figure)
        sink = io.StringIO()
        figure.savefig(sink, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return Picture(name, title, description, _inline(sink.getvalue(), f"{prefix}-{name}", title, description))


def colour_of(role: str) -> str:
    return ROLES.get(role, OTHER)


def _inline(svg: str, prefix: str, title: str, description: str) -> Markup:
    """The drawing as an element of a page, with a title and a description for who does not see it."""
    inner = svg[svg.index("<svg") :]
    box = re.search(r'viewBox="([\d. ]+)"', inner)
    inner = inner[inner.index(">") + 1 : inner.rindex("</svg>")]
    inner = re.sub(r"(?s)<metadata>.*?</metadata>|<style[^>]*>.*?</style>", "", inner)
    inner = re.sub(r'\bid="', f'id="{prefix}-', inner)
    inner = inner.replace('xlink:href="#', f'href="#{prefix}-').replace("url(#", f"url(#{prefix}-")
    inner = COLOUR.sub(lambda found: f"{found[1]}var(--{VARIABLES[found[2]]})", inner)
    head = Markup('<svg viewBox="{}" role="img" aria-labelledby="{}-t {}-d"><title id="{}-t">{}</title>').format(
        box[1] if box else "0 0 1 1", prefix, prefix, prefix, title
    )
    # What matplotlib wrote is ours but for its labels, and those it escapes.
    return head + Markup('<desc id="{}-d">{}</desc>').format(prefix, escape(description)) + Markup(inner + "</svg>")
