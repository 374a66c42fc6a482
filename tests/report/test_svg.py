"""An SVG follows the page's colours, has a title and a description, and keeps its ids apart from other pictures'."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from pytest_kdmem.report.svg import ACCENT, CSS_VARIABLES, Picture, draw_axes, draw_figure, role_colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def draw(prefix: str = "p", label: str = "label", description: str = "what it shows") -> Picture:
    def draw_line(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=role_colour("teacher"), marker="o")
        axes.plot([0, 1], [1, 0], color=role_colour("another model"))
        axes.axvline(0.5, color=ACCENT)
        axes.set_xlabel(label)

    return draw_axes("line", "Line & more", description, 2.0, draw_line, prefix)


def test_placeholder_colours_become_variables_of_the_page() -> None:
    svg = draw().svg
    assert not re.search(rf"(fill|stroke): ({'|'.join(CSS_VARIABLES)})", svg)
    for variable in ("teacher", "other", "accent", "ink"):
        assert f"var(--{variable})" in svg


def test_a_label_that_looks_like_a_placeholder_stays_text() -> None:
    assert ">#000011<" in draw(label="#000011").svg


def test_title_and_description_are_read_to_who_does_not_see_the_picture() -> None:
    svg = str(draw(description="<b> & more").svg)
    root = ElementTree.fromstring(svg)
    title, description = root.find("title"), root.find("desc")
    assert title is not None
    assert description is not None
    assert (title.text, description.text) == ("Line & more", "<b> & more")
    assert root.get("aria-labelledby") == f"{title.get('id')} {description.get('id')}"
    assert root.get("role") == "img"


def test_ids_of_two_pictures_differ_and_every_reference_has_its_id() -> None:
    ids = [re.findall(r'\bid="([^"]+)"', draw(prefix).svg) for prefix in ("a0", "a1")]
    assert not set(ids[0]) & set(ids[1])
    svg = draw("a0").svg
    references = re.findall(r'href="#([^"]+)"', svg) + re.findall(r"url\(#([^)]+)\)", svg)
    assert references
    assert set(references) <= set(ids[0])


def test_a_picture_is_the_same_each_time() -> None:
    assert draw() == draw()


def test_a_figure_may_have_several_axes() -> None:
    def draw_two(figure: Figure) -> None:
        for axes, label in zip(figure.subplots(1, 2), ("left", "right"), strict=True):
            axes.set_xlabel(label)

    svg = draw_figure("pair", "Pair", "", 2.0, draw_two, "p").svg
    assert ">left<" in svg
    assert ">right<" in svg
