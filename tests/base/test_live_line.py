"""The parts of the line fit every width, what matters least gives way first, and nothing moves while numbers grow."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_kdmem.base.live_line import fitting_parts
from pytest_kdmem.base.task_progress import TaskProgress, TaskState

NOTE = "loss 2.1042, learning rate 5.0e-05, 1520 tokens/s"


def training(total: int | None = 12_800, *, is_estimate: bool = False) -> TaskState:
    """A task of which half an hour is left."""
    task = TaskProgress("train", None)
    if total is not None:
        task.expect(total, is_estimate=is_estimate)
    task.note = NOTE
    task._samples.clear()
    task._samples.extend([(0.0, 0), (10.0, 64)])
    task.done = 1280
    return task.state


def test_notes_give_way_first_and_the_last_of_them_before_the_others() -> None:
    def parts(width: int) -> list[str]:
        return fitting_parts(training(), width)[0]

    base = ["kdmem: train", " 1 280/12 800"]
    first, second, third = NOTE.split(", ")
    assert parts(160) == [*base, "30:00 left", "  6/s", first, second, third]
    assert parts(95) == [*base, "30:00 left", "  6/s", first, second]
    assert parts(80) == [*base, "30:00 left", "  6/s", first]
    assert parts(60) == [*base, "30:00 left", "  6/s"]
    assert parts(50) == [*base, "30:00 left"]
    assert fitting_parts(training(), 43) == ([*base, "30:00 left"], 0)
    assert fitting_parts(training(), 30) == (base, 0)


@pytest.mark.parametrize("width", range(30, 200))
def test_the_parts_fit_on_one_line(width: int) -> None:
    for task in (training(), training(None), training(2144, is_estimate=True)):
        parts, bar = fitting_parts(task, width)
        assert sum(map(len, parts)) + bar + len(parts) - 1 + bool(bar) <= width


def test_an_estimate_and_what_follows_from_it_are_marked() -> None:
    parts, bar = fitting_parts(training(2144, is_estimate=True), 80)
    assert parts[:3] == ["kdmem: train", " 1 280/~2 100", "~2:08 left"]
    assert bar


def test_without_a_total_there_is_no_bar() -> None:
    parts, bar = fitting_parts(training(None), 60)
    assert parts == ["kdmem: train", "1 280 examples", "  6/s", "loss 2.1042"]
    assert not bar


def test_nothing_on_the_line_moves_while_numbers_grow() -> None:
    widths = set()
    for done in (1, 10, 100, 1000):
        task = replace(training(1000), done=done, rate=done / 100)
        parts, bar = fitting_parts(task, 80)
        widths.add((len(parts[1]), bar))
    assert len({counts for counts, _ in widths}) == 1
