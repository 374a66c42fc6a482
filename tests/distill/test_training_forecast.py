"""A forecast adds the beginning to the steps, and says what is measured and what is only the least."""

from __future__ import annotations

from dataclasses import replace

from pytest_kdmem.distill.training_forecast import TrainingForecast


def test_the_time_is_that_of_the_beginning_and_of_all_steps() -> None:
    forecast = TrainingForecast("soft", "", 10, True, 20, 5.0, (0.25, 0.5, 0.75), 1e6, 2e6)
    assert forecast.seconds == 15.0
    assert len(forecast.lines) == 4
    assert replace(forecast, share="two of them").lines[1] == "  two of them"
    assert (
        forecast.lines[2] == "  about 15 s (5.0 s to begin, then 0.5 s a step, from 0.25 to 0.75 s in 3 steps measured)"
    )
    unknown = replace(forecast, is_exact=False, step_seconds=(0.5,))
    assert unknown.lines[2] == "  at least 15 s (5.0 s to begin, then 0.5 s a step, measured over one)"
