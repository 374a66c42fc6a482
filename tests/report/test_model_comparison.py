"""The comparison of models is one table where there is room, and two where a number would be cut."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from pytest_kdmem.metrics.memorization import Memorization
from pytest_kdmem.metrics.model_comparison import compare_models
from pytest_kdmem.report.glyphs import UNICODE
from pytest_kdmem.report.model_comparison import comparison_tables
from tests.metrics.score_tables import memorization_from, row

LONG = "student-of-a-very-long-name-in-int8"


def model(name: str, recited: set[int], ambiguous: set[int]) -> Memorization:
    rows = [row(str(number), memorized=number in recited, ambiguous=number in ambiguous) for number in range(600)]
    return memorization_from(rows, subject=name)


@pytest.fixture(scope="module")
def models() -> list[Memorization]:
    return [
        model("teacher", set(range(400)), set()),
        model(LONG, set(range(200)), set(range(390, 410))),
        model("baseline", set(range(100, 300)), {599}),
    ]


def drawn(models: list[Memorization], width: int) -> list[str]:
    """The lines of the tables on a terminal of so many columns."""
    output = StringIO()
    console = Console(file=output, width=width, highlight=False)
    for table in comparison_tables(models, compare_models(models), UNICODE, width):
        console.print(table)
    return [line for line in output.getvalue().splitlines() if line.strip()]


def test_on_a_wide_terminal_there_is_one_table(models: list[Memorization]) -> None:
    lines = drawn(models, 150)
    assert len(lines) == 5
    assert lines[0].split() == "model recited rate bounds ambiguous lost gained overlap p p (Holm)".split()


@pytest.mark.parametrize("width", [60, 80, 100, 120])
def test_every_figure_is_whole_at_every_width(models: list[Memorization], width: int) -> None:
    lines = drawn(models, width)
    assert max(map(len, lines)) <= width
    words = " ".join(lines).split()
    whole = " ".join(drawn(models, 150)).split()
    figures = [word for word in whole if word[0].isdigit()]
    assert len(figures) > 20
    assert {*figures} <= {*words}
    assert not [word for word in words if "…" in word or "..." in word]


def test_the_first_model_is_compared_with_none(models: list[Memorization]) -> None:
    lines = drawn(models, 80)
    heads = [number for number, line in enumerate(lines) if line.split()[0] == "model"]
    assert len(heads) == 2
    assert "teacher" in " ".join(lines[: heads[1]])
    assert "teacher" not in " ".join(lines[heads[1] :])
