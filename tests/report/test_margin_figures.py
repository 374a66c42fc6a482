"""A histogram of margins is cut at 0, and tells how many examples lie on each side of it."""

from __future__ import annotations

from pytest_kdmem.auditing.schema_examples import DistributionsEntry, ModelDistributions
from pytest_kdmem.report.margin_figures import draw_margins


def drawn(edges: tuple[float, ...], **margins: tuple[int, ...]) -> str:
    models = {role: ModelDistributions(counts, 1000, (), (), ()) for role, counts in margins.items()}
    return str(draw_margins(DistributionsEntry(edges, models), "p").svg)


def test_bars_from_zero_on_are_of_another_colour_and_both_sides_are_counted(bars: list) -> None:
    svg = drawn((-2.0, -1.0, 0.0, 1.0, 2.0), student=(40, 2, 0, 7), baseline=(50, 0, 6, 0))
    for text in ("student: 1 042 below 0", "7 recited", "baseline: 1 050 below 0", "6 recited"):
        assert f">{text}<" in svg, text
    heights = [(x, height) for x, height, _ in bars]
    assert heights == [(-2, 40), (-1, 2), (0, 0), (1, 7), (-2, 50), (-1, 0), (0, 6), (1, 0)]
    colours = [[colour for x, _, colour in bars[start : start + 4] if (x >= 0) == recited]
               for start in (0, 4) for recited in (False, True)]  # fmt: skip
    assert all(len(set(of_side)) == 1 for of_side in colours)
    assert len({of_side[0] for of_side in colours}) == 3  # what is missed is of one colour in both


def test_the_bar_is_seen_where_no_margin_reaches_it(bars: list) -> None:
    svg = drawn((-9.0, -8.0, -7.0, -6.0), student=(0, 5, 0))
    assert ">0 recited<" in svg
    assert bars == [(-8.0, 5, bars[0][2])]


def test_a_model_without_margins_is_left_out() -> None:
    svg = drawn((-1.0, 0.0, 1.0), student=(3, 4), teacher=(0, 0))
    assert "teacher" not in svg
