"""Measures what a model recites while a `transformers.Trainer` trains it, and holds a gate on that."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from pytest_kdmem.errors import KdmemError, SpecError
from pytest_kdmem.metrics.estimate import Estimate
from pytest_kdmem.specs.checks import choice, number, optional, require, truth, whole_number
from pytest_kdmem.specs.declared import Extraction, Thresholds, TrainingSet
from pytest_kdmem.tracking.gate import GateFailed, RateGate
from pytest_kdmem.tracking.names import GATES_FAILED, RATE, figure_name, figures_of
from pytest_kdmem.tracking.trained_rows import check_trained_on
from pytest_kdmem.tracking.trainer_log import log_figures, trainer_of
from pytest_kdmem.tracking.trainer_model import live_model
from pytest_kdmem.tracking.training_sample import TrainingSample, read_sample

Every = int | Literal["evaluation", "epoch", "end"]
OnFailure = Literal["stop", "warn"]
MOMENTS = ("evaluation", "epoch", "end")
# Examples of a sample, unless the training set declares its own.
SAMPLE = 1000


class MemorizationCallback(TrainerCallback):
    """Scores a sample of the training set with the model that is being trained, and logs its memorization rate.

    It is scored before the first step, as often as ``every`` says, and at the last step. The training goes on exactly
    as it would have without it. In a group of processes each scores its share.

    Args:
        training_set: What the model is trained on, declared as for an audit.
        every: Number of steps between two measurements; or ``evaluation``, after each evaluation of the trainer;
            ``epoch``, at the end of each; or ``end``.
        gates: The gate ``max_memorization_rate`` and its threshold, held at each measurement after the first step.
        on_failure: Whether a gate that fails ends the training (``stop``) or warns (``warn``).
        sample: Number of distinct examples that are scored, drawn at random, unless the training set declares its own.
        seed: Seed of the random sample, unless the training set declares its own.
        extraction: Lengths of prefix and suffix; those of audits if None.
        role: Role of the model, which stands in the names of its figures.
        confidence: Confidence level of each one-sided bound.
        batch_size: Examples of a forward pass of each process; that of the trainer's evaluation if None.
        offline: Never open a network connection.

    Attributes:
        rates: The memorization rate by the step at which it was measured.

    Raises:
        SpecError: An argument is of the wrong kind, or another gate is named.
    """

    def __init__(
        self,
        training_set: TrainingSet,
        *,
        every: Every = "evaluation",
        gates: Mapping[str, float] | Thresholds | None = None,
        on_failure: OnFailure = "stop",
        sample: int = SAMPLE,
        seed: int = 0,
        extraction: Extraction | None = None,
        role: str = "student",
        confidence: float = 0.95,
        batch_size: int | None = None,
        offline: bool = False,
    ) -> None:
        if not isinstance(training_set, TrainingSet):
            raise SpecError(f"A TrainingSet was expected; found {type(training_set).__name__}.")
        if not isinstance(every, int) or isinstance(every, bool) or every < 1:
            require("every", every, _moment)
        require("on_failure", on_failure, choice("stop", "warn"))
        require("sample", sample, whole_number(1))
        require("seed", seed, whole_number(0, bits=64))
        require("confidence", confidence, number(above=0, below=1))
        require("batch_size", batch_size, optional(whole_number(1)))
        require("offline", offline, truth)
        if training_set.sample is None:
            training_set = replace(training_set, sample=sample, seed=seed)
        self.rates: dict[int, Estimate] = {}
        self._training_set, self._every, self._on_failure = training_set, every, on_failure
        self._gate = RateGate.named_in(gates)
        self._extraction = training_set.lengths(extraction or Extraction())
        self._role, self._confidence, self._batch_size, self._offline = role, confidence, batch_size, offline
        self._trainer: Trainer | None = None
        self._sample: TrainingSample | None = None
        self._failure = "" if self._gate is None else "the model was not measured"

    @property
    def failed(self) -> bool:
        """Whether the gate does not hold of the model as it is now; one that was never measured holds nothing."""
        return bool(self._failure)

    def raise_if_failed(self) -> None:
        """End a script whose gate does not hold with an error.

        Raises:
            GateFailed: The gate does not hold of the trained model, or the model could not be measured.
        """
        if self._failure:
            raise GateFailed(f"A model that meets the gates of its training was expected, and {self._failure}.")

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **context: Any
    ) -> None:
        self._trainer = trainer = trainer_of(self)
        self.rates.clear()  # a callback may see several trainings
        self._last_tried: int | None = None
        if self._every == "evaluation" and args.eval_strategy == "no":
            raise SpecError(
                'An evaluation of the trainer was expected with every="evaluation", and its eval_strategy is "no"; set'
                ' one, or every=STEPS, every="epoch" or every="end".'
            )
        model = live_model(trainer, self._batch_size)
        tokenizer = context.get("processing_class")
        tokenizer = getattr(tokenizer, "tokenizer", tokenizer)
        self._sample = read_sample(self._training_set, tokenizer, self._extraction, offline=self._offline)
        model.check(self._sample.examples, self._extraction)
        check_trained_on(self._sample.examples, self._extraction, trainer.train_dataset, self._training_set.source)
        if self._gate is not None:
            self._gate.check_size(
                self._role,
                len(self._sample.examples),
                exhaustive=self._sample.record.exhaustive,
                confidence=self._confidence,
            )
        if self._is_new(state.global_step, state):
            self._measure(trainer, state.global_step)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **context: Any
    ) -> TrainerControl:
        is_due = isinstance(self._every, int) and state.global_step % self._every == 0
        # Here and not when the training has ended, because trackers have closed their runs then.
        is_last = state.global_step >= state.max_steps or control.should_training_stop
        if is_due or is_last:
            self._measure_while_training(state, control)
        return control

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **context: Any
    ) -> TrainerControl:
        if self._every == "evaluation" and self._sample is not None and state.global_step > 0:
            self._measure_while_training(state, control)
        return control

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **context: Any
    ) -> TrainerControl:
        if self._every == "epoch":
            self._measure_while_training(state, control)
        return control

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **context: Any
    ) -> None:
        step = _restored_step(args, state)
        if step is not None:
            self._try_to_measure(step, in_trackers=False)
        elif state.global_step != self._last_tried:
            self._try_to_measure(state.global_step, in_trackers=False)
        self._sample = self._trainer = None

    def _is_new(self, step: int, state: TrainerState) -> bool:
        """Whether a step was not measured before, nor in the training that is resumed."""
        name = figure_name(RATE, self._role)
        return step not in self.rates and not any(
            entry["step"] == step and name in entry for entry in state.log_history
        )

    def _measure_while_training(self, state: TrainerState, control: TrainerControl) -> None:
        if not self._is_new(state.global_step, state):
            return
        self._try_to_measure(state.global_step)
        if self._failure and state.global_step in self.rates:
            outcome = "the training stops" if self._on_failure == "stop" else "the training goes on"
            _warn(state, f"{self._failure}; {outcome}")
            control.should_training_stop |= self._on_failure == "stop"

    def _try_to_measure(self, step: int, *, in_trackers: bool = True) -> None:
        """Measure; a training is not lost because its model cannot be measured, but its gate does not hold then."""
        assert self._trainer is not None
        self._last_tried = step
        try:
            self._measure(self._trainer, step, in_trackers=in_trackers)
        except (KdmemError, RuntimeError) as error:
            if self._gate is not None:
                self._failure = f"the model could not be measured at step {step}"
            _warn(self._trainer.state, f"memorization could not be measured: {error}")

    def _measure(self, trainer: Trainer, step: int, *, in_trackers: bool = True) -> None:
        assert self._sample is not None
        rate = self._sample.rate(live_model(trainer, self._batch_size), self._role, self._confidence)
        self.rates[step] = rate
        figures = figures_of(RATE, rate, self._role)
        if self._gate is not None:
            self._judge(rate)
            figures[GATES_FAILED] = float(self.failed)
        if in_trackers:
            log_figures(trainer, figures)
        else:
            trainer.state.log_history.append({**figures, "step": step})

    def _judge(self, rate: Estimate) -> None:
        if self._gate is not None:
            self._failure = self._gate.failure(rate)


def _warn(state: TrainerState, message: str) -> None:
    """Warn once, and not in every process of a training."""
    if state.is_world_process_zero:
        warnings.warn(f"step {state.global_step}: {message}", stacklevel=3)


def _moment(value: Any) -> str:
    """A moment of a training, or a number of steps."""
    return "" if value in MOMENTS else f"a number of steps, or one of {', '.join(MOMENTS)}"


def _restored_step(args: TrainingArguments, state: TrainerState) -> int | None:
    """The step whose weights the trainer has restored at the end as the best ones; None if it keeps the last ones."""
    return state.best_global_step if args.load_best_model_at_end and state.best_model_checkpoint else None
