"""The picture of risks says how many examples are at risk; that of reliability explains its marks."""

from __future__ import annotations

from dataclasses import replace

from pytest_kdmem.report.risk_figures import draw_reliability, draw_risk
from pytest_kdmem.risk.reliability import Bin
from tests.report.audits import risk_entry

ENTRY = replace(
    risk_entry(),
    edges=(0.0, 0.001, 0.01, 0.1, 1.0),
    counts=(900, 60, 30, 10),
    threshold=0.1,
    examples=tuple(range(10)),
    reliability=(Bin(0.0, 0.1, 900, 0.01, 0.0, 0.03, 0.012), Bin(0.1, 1.0, 10, 0.5, 0.2, 0.8, 1.0)),
)


def test_what_is_at_risk_is_counted_and_of_another_colour(bars: list) -> None:
    svg = draw_risk(ENTRY, "p").svg
    assert ">10 at risk from 0.1 on<" in svg
    assert [(x, height) for x, height, _ in bars] == [(0.0005, 1000), (0.001, 100), (0.01, 40), (0.1, 10)]
    colours = [colour for *_, colour in bars]
    assert len(set(colours[:3])) == 1 != len(set(colours))
    for number in ("1 000", "0.001", "0.01"):
        assert f">{number}<" in svg, number  # and none as a power of ten


def test_the_marks_of_reliability_are_explained_and_each_range_has_its_number_of_examples() -> None:
    picture = draw_reliability(ENTRY, "p")
    for text in ("to be expected", "mean risk", "memorized", "0.1", "900", "10"):
        assert f">{text}<" in picture.svg, text
    assert picture.description.startswith("In 1 of 2 bins")
