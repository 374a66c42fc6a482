"""Measures the memorization rate of a model between two steps of its training, logs it, and judges it."""

from __future__ import annotations

import warnings

from transformers import Trainer, TrainerState

from pytest_kdmem.base.text import count
from pytest_kdmem.corpus.shards import CorpusRecord
from pytest_kdmem.errors import KdmemError, SpecError
from pytest_kdmem.metrics.estimate import Estimate
from pytest_kdmem.specs.figure_names import GATES_FAILED, RATE, figure_name, figures_of
from pytest_kdmem.tracking.gate import RateGate
from pytest_kdmem.tracking.trainer_log import log_figures
from pytest_kdmem.tracking.trainer_model import live_model
from pytest_kdmem.tracking.training_sample import TrainingSample


class RateMeter:
    """Measures one training.

    Args:
        role: Role of the model in the names of its figures.
        gate: The gate that is held; None for none.
        confidence: Confidence level of each one-sided bound.
        batch_size: Examples of a forward pass; those of the trainer's evaluation if None.

    Attributes:
        rates: The memorization rate by the step at which it was measured.
        failure: Why the gate does not hold of the model as it was measured last; empty if it does, or there is none.
    """

    def __init__(self, role: str, gate: RateGate | None, *, confidence: float, batch_size: int | None) -> None:
        self._role, self._gate, self._confidence, self._batch_size = role, gate, confidence, batch_size
        self.rates: dict[int, Estimate] = {}
        self.failure = "" if gate is None else "the model was not measured"

    def check(self, trainer: Trainer, sample: TrainingSample) -> None:
        """Check that a model can be scored over a sample, and that the sample can show what the gate asks.

        Raises:
            SpecError: The sample is too small, or the model is trained in a way in which scoring was not tested.
            EngineError: Examples are of other tokens than the model's, or too long for it.
        """
        live_model(trainer, self._batch_size).check(sample.examples, sample.extraction)
        if self._gate is not None:
            check_most_are_long_enough(sample.record)
            self._gate.check_size(
                self._role, len(sample.examples), exhaustive=sample.record.exhaustive, confidence=self._confidence
            )

    def is_new(self, state: TrainerState) -> bool:
        """Whether the present step was not measured before, nor in the training that is resumed."""
        step, name = state.global_step, figure_name(RATE, self._role)
        return step not in self.rates and not any(
            entry["step"] == step and name in entry for entry in state.log_history
        )

    def measure(self, trainer: Trainer, sample: TrainingSample, step: int, *, in_trackers: bool = True) -> None:
        """Measure the model as it is, log its figures, and judge it.

        Args:
            trainer: The trainer.
            sample: What is scored.
            step: Step at which the model was as it is.
            in_trackers: Whether trackers take figures still; otherwise they go into the trainer's history alone.

        Raises:
            EngineError: The model cannot be scored.
        """
        rate = sample.rate(live_model(trainer, self._batch_size), self._role, self._confidence)
        earlier = self.rates.get(step)
        self.rates[step] = rate
        figures = figures_of(RATE, rate, self._role)
        if self._gate is not None:
            self.failure = self._gate.failure(rate)
            of_others = _gates_failed(trainer.state, step) if earlier is None else 0.0
            figures[GATES_FAILED] = float(bool(self.failure)) + of_others
        if earlier is not None and (earlier.value, earlier.low, earlier.high) == (rate.value, rate.low, rate.high):
            return  # it is logged already
        if in_trackers:
            log_figures(trainer, figures)
        else:
            trainer.state.log_history.append({**figures, "step": step})

    def try_to_measure(self, trainer: Trainer, sample: TrainingSample, step: int, *, in_trackers: bool = True) -> bool:
        """Measure, and return whether that was possible.

        A training is not lost because its model cannot be measured, but its gate does not hold then.
        """
        try:
            self.measure(trainer, sample, step, in_trackers=in_trackers)
        except (KdmemError, RuntimeError) as error:
            if self._gate is not None:
                self.failure = f"the model could not be measured at step {step}"
            warn(trainer.state, f"memorization could not be measured: {error}")
            return False
        return True


def _gates_failed(state: TrainerState, step: int) -> float:
    """Gates that other callbacks of a trainer found to fail at a step."""
    counts = [entry[GATES_FAILED] for entry in state.log_history if entry["step"] == step and GATES_FAILED in entry]
    return float(counts[-1]) if counts else 0.0


def check_most_are_long_enough(record: CorpusRecord) -> None:
    """Raise SpecError if a gate would rest on less than half of a training set, as an audit's would not either."""
    if record.too_short * 2 > record.examples:
        raise SpecError(
            f"Most examples of the training set were expected to hold prefix and suffix, and {count(record.too_short)}"
            f" of {count(record.examples)} are too short; give a shorter Extraction, or leave out the gate."
        )


def warn(state: TrainerState, message: str) -> None:
    """Warn once, and not in every process of a training."""
    if state.is_world_process_zero:
        warnings.warn(f"step {state.global_step}: {message}", stacklevel=3)
