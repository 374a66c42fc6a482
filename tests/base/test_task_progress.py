"""Rate and time left are those of the last half minute; a total that is estimated says so."""

from __future__ import annotations

import pytest

from pytest_kdmem.base import task_progress
from pytest_kdmem.base.task_progress import TaskProgress


class Clock:
    """Stands for the module `time`."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(task_progress, "time", clock)
    return clock


def test_nothing_is_known_before_anything_is_done(clock: Clock) -> None:
    task = TaskProgress("student", 10)
    assert (task.state.rate, task.state.seconds_left) == (None, None)


def test_the_rate_tells_the_time_left_where_there_is_a_total(clock: Clock) -> None:
    task = TaskProgress("student", None)
    for _ in range(4):
        clock.now += 1
        task.advance(5)
    assert task.state.rate == 5
    assert task.state.seconds_left is None
    task.expect(100, is_estimate=False)
    assert task.state.seconds_left == 16


def test_what_an_earlier_run_did_does_not_count_for_the_rate(clock: Clock) -> None:
    task = TaskProgress("student", 1_000_000)
    task.advance(500_000)
    task.advance(1000)
    assert task.state.rate is None
    clock.now += 1
    task.advance(10)
    assert task.state.rate == 10


def test_what_is_found_stored_in_between_does_not_count_for_long(clock: Clock) -> None:
    task = TaskProgress("student", 1_000_000)
    clock.now += 1
    task.advance(500_000)
    for _ in range(200):
        clock.now += 1
        task.advance(10)
    assert task.state.rate == 10


def test_many_steps_a_second_keep_few_samples(clock: Clock) -> None:
    task = TaskProgress("student", None)
    for _ in range(100_000):
        clock.now += 0.001
        task.advance(1)
    assert task.state.rate == pytest.approx(1000, rel=0.01)
    assert len(task._samples) < 100


def test_the_time_that_a_model_takes_to_load_slows_no_rate(clock: Clock) -> None:
    task = TaskProgress("student", 100)
    task.set_status("loading the model")
    assert task.state.headline == "student: loading the model"
    clock.now += 60
    task.set_status("")
    clock.now += 1
    task.advance(10)
    assert task.state.rate == 10
    assert task.state.headline == "student"


@pytest.mark.parametrize(
    ("total", "about"), [(7, 7), (99, 99), (144, 140), (2144, 2100), (2166, 2200), (1_234_567, 1_200_000)]
)
def test_an_estimate_has_two_digits(total: int, about: int) -> None:
    task = TaskProgress("student", None)
    task.expect(total, is_estimate=True)
    assert (task.total, task.is_estimate) == (about, True)
    task.expect(total, is_estimate=False)
    assert (task.total, task.is_estimate) == (total, False)
