"""What a training would take: examples, steps, time and memory on a disk, in numbers and in lines for people."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_kdmem.base.text import count, duration, size


@dataclass(frozen=True)
class TrainingForecast:
    """What a training would take.

    Attributes:
        title: What is trained, of whom, on what and where, in words.
        share: What each of several processes does, in words; empty for one process.
        examples: Number of examples.
        is_exact: Whether that number is known; otherwise there are at least so many.
        steps: Number of steps.
        beginning_seconds: Seconds until the first step: models are loaded, and a teacher writes what is learned.
        step_seconds: Seconds of each step that was measured; empty if none was.
        model_bytes: Bytes of the trained model.
        beside_bytes: Bytes beside it while it trains: rows, and the checkpoint.
    """

    title: str
    share: str
    examples: int
    is_exact: bool
    steps: int
    beginning_seconds: float
    step_seconds: tuple[float, ...]
    model_bytes: float
    beside_bytes: float

    @property
    def seconds_per_step(self) -> float:
        """Mean of the steps that were measured."""
        return sum(self.step_seconds) / max(len(self.step_seconds), 1)

    @property
    def seconds(self) -> float:
        """Seconds that the training would take."""
        return self.beginning_seconds + self.steps * self.seconds_per_step

    @property
    def lines(self) -> tuple[str, ...]:
        """The forecast in lines for people."""
        at_least = "" if self.is_exact else "at least "
        about = at_least or "about "
        return (
            self.title,
            *([f"  {self.share}"] if self.share else []),
            f"  {at_least}{count(self.examples)} examples, {at_least}{count(self.steps)} steps",
            f"  {about}{duration(self.seconds)} ({duration(self.beginning_seconds)} to begin, then"
            f" {self.seconds_per_step:.2g} s a step{self._spread})",
            f"  a model of {size(self.model_bytes)}, and {at_least}{size(self.beside_bytes)} beside it while it trains",
        )

    @property
    def _spread(self) -> str:
        """How far the measured steps lie apart, in words."""
        if len(self.step_seconds) < 2:
            return ", measured over one"
        shortest, longest = min(self.step_seconds), max(self.step_seconds)
        return f", from {shortest:.2g} to {longest:.2g} s in {len(self.step_seconds)} steps measured"
