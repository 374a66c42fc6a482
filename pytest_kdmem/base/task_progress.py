"""How far a task is: what is done of it, how fast, and how long it still takes."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass

# The rate is that of this last stretch.
RATE_SECONDS = 30.0
# What is done so soon after the start was done by an earlier run, and says nothing of the rate of this one.
AT_ONCE_SECONDS = 0.05
SECONDS_BETWEEN_SAMPLES = 0.5


@dataclass(frozen=True)
class TaskState:
    """How a task stands at one moment; its values are plain, so that another process can be told.

    Args:
        what: Name of the task; "" before it has begun.
        total: Number of its examples; None if it is unknown.
        is_estimate: Whether the total is estimated.
        done: Number of examples done.
        rate: Examples per second; None if it is unknown.
        note: How the task stands beside that, such as a loss.
        status: What is being done before the first example is; "" once it is done.
    """

    what: str
    total: int | None
    is_estimate: bool
    done: int
    rate: float | None
    note: str
    status: str

    @property
    def headline(self) -> str:
        """What is being done, with the name of the task."""
        return ": ".join(part for part in (self.what, self.status) if part)

    @property
    def seconds_left(self) -> float | None:
        """Seconds until all is done; None if that is unknown."""
        if self.total is None or self.rate is None:
            return None
        return max(0, self.total - self.done) / self.rate


class TaskProgress:
    """The progress of one task.

    Args:
        what: Name of the task.
        total: Number of its examples; None if it is unknown.

    Attributes:
        is_estimate: Whether the total is estimated.
        done: Number of examples done.
        note: How the task stands beside that, such as a loss.
        status: What is being done before the first example is; "" once it is done.
    """

    def __init__(self, what: str, total: int | None) -> None:
        self.what, self.total = what, total
        self.is_estimate = False
        self.done = 0
        self.note = self.status = ""
        self._samples: deque[tuple[float, int]] = deque([(time.monotonic(), 0)])

    def expect(self, total: int, *, is_estimate: bool) -> None:
        """Set the total; an estimate is rounded to two digits, as more of them would promise too much."""
        if is_estimate:
            unit = 10 ** max(0, len(str(total)) - 2)
            total = round(total / unit) * unit
        self.total, self.is_estimate = total, is_estimate

    def advance(self, examples: int) -> None:
        """Add examples that are done."""
        self.status = ""
        self.done += examples
        now, samples = time.monotonic(), self._samples
        if len(samples) == 1 and now - samples[0][0] < AT_ONCE_SECONDS:
            samples[0] = (samples[0][0], self.done)
        elif len(samples) < 2 or now - samples[-2][0] >= SECONDS_BETWEEN_SAMPLES:
            samples.append((now, self.done))
        else:
            samples[-1] = (now, self.done)
        while len(samples) > 2 and now - samples[1][0] >= RATE_SECONDS:
            samples.popleft()

    def set_status(self, text: str) -> None:
        """Show what is being done; once that is done, the rate is measured from there."""
        if self.status and not text:
            self._samples = deque([(time.monotonic(), self.done)])
        self.status = text

    @property
    def state(self) -> TaskState:
        """How the task stands now."""
        return TaskState(self.what, self.total, self.is_estimate, self.done, self._rate, self.note, self.status)

    @property
    def _rate(self) -> float | None:
        """Examples per second of the last half minute; None if nothing was done in it."""
        (began, before), (ended, after) = self._samples[0], self._samples[-1]
        return (after - before) / max(ended - began, 1e-6) if after > before else None
