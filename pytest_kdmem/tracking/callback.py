"""Measures what a model recites while a `transformers.Trainer` trains it, and holds a gate on that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from transformers import (
    PreTrainedTokenizerBase,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from pytest_kdmem.errors import GateError, KdmemError, SpecError
from pytest_kdmem.metrics.estimate import Estimate
from pytest_kdmem.specs.checks import choice, number, optional, require, truth, whole_number
from pytest_kdmem.specs.declared import Extraction, Thresholds, TrainingSet
from pytest_kdmem.tracking.gate import RateGate
from pytest_kdmem.tracking.rate_meter import RateMeter, warn
from pytest_kdmem.tracking.trained_rows import check_trained_on
from pytest_kdmem.tracking.trainer_log import trainer_of
from pytest_kdmem.tracking.training_card import TrainingCards
from pytest_kdmem.tracking.training_sample import TrainingSample, read_sample

Every = int | Literal["evaluation", "epoch", "end"]
OnFailure = Literal["stop", "warn"]
MOMENTS = ("evaluation", "epoch", "end")
# Examples of a sample, unless the training set declares its own.
SAMPLE = 1000


class MemorizationCallback(TrainerCallback):
    """Scores a sample of the training set with the model that is being trained, and logs its memorization rate.

    The sample is scored before the first step, as often as ``every`` says, and at the last step. The training continues
    exactly as it would have without it. In a group of processes, each scores its share.

    Args:
        training_set: What the model is trained on, declared as for an audit.
        every: Number of steps between two measurements; or ``evaluation``, after each evaluation of the trainer;
            ``epoch``, at the end of each; or ``end``.
        gates: The gate ``max_memorization_rate`` and its threshold, checked at each measurement after the first step.
        on_failure: Whether a gate that fails ends the training (``stop``) or warns (``warn``).
        sample: Number of distinct examples that are scored, drawn at random, unless the training set declares its own.
        seed: Seed of the random sample, unless the training set declares its own.
        extraction: Lengths of prefix and suffix; those of audits if None.
        role: Role of the model, which is a part of the names of its figures.
        confidence: Confidence level of each one-sided bound.
        batch_size: Examples of a forward pass of each process; that of the trainer's evaluation if None.
        tokenizer: Tokenizer of transformers by which training read the set, where that is not the trainer's
            ``processing_class``.
        run_cards: Whether to write a run card, with the curve of the rate over the steps, beside each model that the
            trainer saves.
        offline: Never open a network connection.

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
        tokenizer: PreTrainedTokenizerBase | None = None,
        run_cards: bool = True,
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
        for name, value in (("run_cards", run_cards), ("offline", offline)):
            require(name, value, truth)
        if training_set.sample is None:
            training_set = replace(training_set, sample=sample, seed=seed)
        self._training_set, self._extraction, self._role = training_set, extraction or Extraction(), role
        self._tokenizer = tokenizer
        self._every, self._stops, self._offline, self._writes_cards = every, on_failure == "stop", offline, run_cards
        gate = RateGate.named_in(gates)
        self._has_gate = gate is not None
        self._new_meter = partial(RateMeter, role, gate, confidence=confidence, batch_size=batch_size)
        self._meter = self._new_meter()
        self._running: tuple[Trainer, TrainingSample] | None = None
        self._cards: TrainingCards | None = None

    @property
    def rates(self) -> dict[int, Estimate]:
        """The memorization rate by the step at which it was measured."""
        return self._meter.rates

    @property
    def failed(self) -> bool:
        """Whether the gate fails for the model as it is now; it also fails if the final model was not measured."""
        return bool(self._failure)

    @property
    def _failure(self) -> str:
        if self._running is not None and self._has_gate and not self._meter.failure:
            return "its training did not end normally, so its final weights were not measured"
        return self._meter.failure

    def raise_if_failed(self) -> None:
        """Raise an error if the gate does not hold.

        Raises:
            GateError: The gate does not hold of the trained model, or the model could not be measured.
            SpecError: No gate is named.
        """
        if not self._has_gate:
            raise SpecError('A gate was expected, such as gates={"max_memorization_rate": 0.001}, and none is named.')
        if self.failed:
            raise GateError(f"A model that meets the gates of its training was expected, and {self._failure}.")

    def write_run_card(self, folder: str | Path) -> None:
        """Write a run card into a folder in which the trained model was saved; checkpoints have one already.

        Raises:
            SpecError: Nothing was trained, or the folder holds no model that can be audited.
            DataError: The card cannot be written.
        """
        if self._cards is None:
            raise SpecError("A training with this callback was expected before its run card, and there was none.")
        self._cards.write(Path(folder))

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **context: Any
    ) -> None:
        self._meter, self._running, self._cards = self._new_meter(), None, None  # a callback may see several trainings
        trainer = trainer_of(self)
        self._check_is_apart(trainer)
        if self._every == "evaluation" and args.eval_strategy == "no":
            raise SpecError(
                'An evaluation of the trainer was expected with every="evaluation", and its eval_strategy is "no"; set'
                ' one, or every=STEPS, every="epoch" or every="end".'
            )
        tokenizer = self._tokenizer or context.get("processing_class")
        tokenizer = getattr(tokenizer, "tokenizer", tokenizer)  # inside a processor
        sample = read_sample(self._training_set, tokenizer, self._extraction, offline=self._offline)
        self._meter.check(trainer, sample)
        check_trained_on(sample.examples, self._extraction, trainer.train_dataset, self._training_set.source)
        self._running = trainer, sample
        self._cards = TrainingCards.of(trainer, self._training_set, sample, self._role, tokenizer, self._offline)
        if self._meter.is_new(state):
            self._meter.measure(trainer, sample, state.global_step)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **context: Any
    ) -> TrainerControl:
        is_due = isinstance(self._every, int) and state.global_step % self._every == 0
        # Here and not when the training has ended, because trackers have closed their runs then.
        is_last = state.global_step >= state.max_steps or control.should_training_stop
        if is_due or is_last:
            self._measure(state, control)
        return control

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **context: Any
    ) -> TrainerControl:
        if self._every == "evaluation" and state.global_step > 0:
            self._measure(state, control)
        return control

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **context: Any
    ) -> TrainerControl:
        if self._every == "epoch":
            self._measure(state, control)
        return control

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **context: Any) -> None:
        self._write_cards(state, state.global_step)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **context: Any
    ) -> None:
        if self._running is None:  # it was added while the training ran
            return
        restored = _restored_step(args, state)
        step = state.global_step if restored is None else restored
        # Once more even of a step that was measured: an evaluation, or an average of weights, may have changed them.
        self._meter.try_to_measure(*self._running, step, in_trackers=False)
        self._running = None
        # There the model is often saved again, after the training.
        self._write_cards(state, step, Path(str(args.output_dir)))

    def _check_is_apart(self, trainer: Trainer) -> None:
        """Raise SpecError if another of these callbacks would log figures, or write run cards, in this one's place."""
        for other in trainer.callback_handler.callbacks:
            if not isinstance(other, MemorizationCallback) or other is self:
                continue
            if other._role == self._role:
                raise SpecError(
                    f'Callbacks of different roles were expected on one trainer; found two of role "{self._role}",'
                    " whose figures have one name: give each its own role=…."
                )
            if other._writes_cards and self._writes_cards:
                raise SpecError(
                    "One callback that writes run cards was expected on a trainer, as a card names one training set;"
                    " found two: give run_cards=False to the other."
                )

    def _measure(self, state: TrainerState, control: TrainerControl) -> None:
        """Measure the model of the present step, unless that was done, and stop the training if its gate fails."""
        if self._running is None or not self._meter.is_new(state):
            return
        if self._meter.try_to_measure(*self._running, state.global_step) and self._meter.failure:
            warn(state, f"{self._meter.failure}; the training {'stops' if self._stops else 'goes on'}")
            control.should_training_stop |= self._stops

    def _write_cards(self, state: TrainerState, step: int, *others: Path) -> None:
        """Write the run card of a step whose model was saved, if it was."""
        if self._cards is None or not self._writes_cards or not state.is_world_process_zero:
            return
        folder = self._cards.checkpoint_folder(step)
        if not folder.is_dir():
            return
        try:
            self._cards.write(folder, *others)
        except KdmemError as error:
            warn(state, f"no run card was written: {error}")


def _moment(value: Any) -> str:
    """A moment of a training, or a number of steps."""
    return "" if value in MOMENTS else f"a number of steps, or one of {', '.join(MOMENTS)}"


def _restored_step(args: TrainingArguments, state: TrainerState) -> int | None:
    """The step whose weights the trainer has restored at the end as the best ones; None if it keeps the last ones."""
    return state.best_global_step if args.load_best_model_at_end and state.best_model_checkpoint else None
