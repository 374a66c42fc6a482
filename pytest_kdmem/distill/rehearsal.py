"""What a training would take: a few of its steps in a temporary folder, nothing kept (`kdmem distill --dry-run`)."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count as numbers
from itertools import pairwise
from math import ceil
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from pytest_kdmem.base.text import count
from pytest_kdmem.corpus.examples import stream_examples
from pytest_kdmem.corpus.sources import expected_examples
from pytest_kdmem.corpus.tokenizer import load_tokenizer
from pytest_kdmem.distill.execution import Execution, StepSplit
from pytest_kdmem.distill.job import DeclaredJob, TrainingJob, open_job
from pytest_kdmem.distill.output_folder import check_output_folder
from pytest_kdmem.distill.prepare import Prepared, prepare
from pytest_kdmem.distill.process_group import ProcessGroup, join_process_group, require_one_machine
from pytest_kdmem.distill.stop_request import StopRequest
from pytest_kdmem.distill.train import train
from pytest_kdmem.distill.training_folder import TrainingFolder
from pytest_kdmem.distill.training_forecast import TrainingForecast
from pytest_kdmem.distill.training_run import RunOptions, TrainingRun
from pytest_kdmem.engines.transformers.quiet import quiet
from pytest_kdmem.specs.trackers import check_installed

# Batches of rows that are tried, over and over.
BATCHES = 5
# Steps behind the first, which is not timed: no fewer than the least, and no more once they took so many seconds; but
# of steps that take very long, only as many as end within the longest time, and at least one.
LEAST_TIMED, MOST_TIMED = 3, 20
TIMED_SECONDS = 5.0
LONGEST_SECONDS = 60.0
# Seconds after which no more of a training set is read to count its examples.
READING_SECONDS = 20.0
# Bytes of a checkpoint for each weight that is trained: itself and two moments of AdamW, in float32.
CHECKPOINT_BYTES = 12
BFLOAT16_BYTES, FLOAT32_BYTES = 2, 4


def rehearse(declared: DeclaredJob, out: Path, execution: Execution, *, offline: bool = False) -> TrainingForecast:
    """Check a training as `distill` does, try a few of its steps in a temporary folder, and keep nothing.

    Under `torchrun` or `accelerate launch` every process calls this function with the same arguments.

    Args:
        declared: The training.
        out: Folder that the trained model would go to.
        execution: Settings of how it runs.
        offline: Open no network connection.

    Raises:
        SpecError: As in `distill`; or a launcher started processes on several machines.
        DataError: As in `distill`.
        EngineError: As in `distill`.
    """
    require_one_machine("a dry run")
    processes = join_process_group()
    check_output_folder(out)
    check_installed(execution.trackers)
    split = execution.split_step(declared.recipe.batch_size, processes.count)
    job = open_job(declared, offline=offline)
    recipe = job.recipe
    examples, is_exact = _count_examples(job, offline=offline)
    makes_rows = recipe.mode == "hard" or recipe.teacher_top_k is not None
    trial = _Trial(job, execution, processes, offline)
    tried = BATCHES * recipe.batch_size
    if makes_rows:  # what is written for more examples takes as much longer as they are more
        shorter, longer = (trial.run(rows, steps=False) for rows in (recipe.batch_size, 2 * recipe.batch_size))
        each = max(longer.beginning_seconds - shorter.beginning_seconds, 0.0) / recipe.batch_size
        tried = recipe.batch_size
    outcome = trial.run(tried)
    beginning = outcome.beginning_seconds + (each * max(examples - tried, 0) if makes_rows else 0.0)
    is_adapter = recipe.lora_rank is not None
    return TrainingForecast(
        title=_title(job, processes),
        share=_share(processes, split),
        examples=examples,
        is_exact=is_exact,
        steps=recipe.epochs * ceil(examples / recipe.batch_size),
        beginning_seconds=beginning,
        step_seconds=outcome.step_seconds,
        model_bytes=outcome.trained_weights * (FLOAT32_BYTES if is_adapter else BFLOAT16_BYTES),
        beside_bytes=outcome.trained_weights * CHECKPOINT_BYTES + outcome.bytes_per_example * examples,
    )


@dataclass(frozen=True)
class _Outcome:
    beginning_seconds: float
    trained_weights: int
    bytes_per_example: float
    step_seconds: tuple[float, ...]


@dataclass(frozen=True)
class _Trial:
    """Runs the beginning of a job in a temporary folder."""

    job: TrainingJob
    execution: Execution
    processes: ProcessGroup
    offline: bool

    def run(self, examples: int, *, steps: bool = True) -> _Outcome:
        """Prepare the first examples, and train on them unless ``steps`` is false."""
        clock = _Clock(self.processes)
        # As many epochs as few rows need for all steps; the clock ends them.
        job = replace(self.job, recipe=replace(self.job.recipe, epochs=MOST_TIMED + 1))
        execution = replace(self.execution, report_to=None)
        options = RunOptions(execution, offline=self.offline, callbacks=(clock,), first_examples=examples)
        with (
            tempfile.TemporaryDirectory(prefix="kdmem-") as own_scratch,
            TrainingFolder.open(
                Path(self.processes.of_first(own_scratch)) / "model", job.digest, self.processes
            ) as folder,
            quiet(),
        ):
            run, began = TrainingRun(job, options, self.processes, folder), time.monotonic()
            prepared = prepare(run)
            seconds = time.monotonic() - began
            stored = sum(path.stat().st_size for path in folder.path.rglob("*") if path.is_file())
            if steps:  # without held-out text, whose loss is no part of a step
                train(run, replace(prepared, held_out=None), StopRequest())
            self.processes.wait()  # until no other process needs the folder of the first
        each = stored / max(len(prepared.rows), 1)
        return _Outcome(seconds, _trained_weights(prepared), each, clock.step_seconds)


class _Clock(TrainerCallback):
    """Times the steps, keeps checkpoints from being written, and ends the training once it was timed long enough."""

    def __init__(self, processes: ProcessGroup) -> None:
        self._processes = processes
        self._ends: list[float] = []

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_context: Any
    ) -> None:
        self._ends.append(time.monotonic())
        control.should_save = False
        if self._processes.any(is_timed_enough(self.step_seconds)):  # all stop at the same step, as all share each
            control.should_training_stop = True

    @property
    def step_seconds(self) -> tuple[float, ...]:
        """Seconds of each step behind the first, in which memory is laid out and kernels are chosen."""
        return tuple(after - before for before, after in pairwise(self._ends))


def is_timed_enough(step_seconds: Sequence[float]) -> bool:
    """Whether steps that took so many seconds each tell how long a step takes."""
    timed, seconds = len(step_seconds), sum(step_seconds)
    is_long = seconds >= LONGEST_SECONDS or (timed >= LEAST_TIMED and seconds >= TIMED_SECONDS)
    return timed >= MOST_TIMED or is_long


def _count_examples(job: TrainingJob, *, offline: bool) -> tuple[int, bool]:
    """The number of examples to train on, and whether it is known."""
    data, init = job.training_set.declared, job.init
    tokenizer = load_tokenizer(
        init.checkpoint.text_folder, data.tokenizer, trust_remote_code=init.declared.trust_remote_code
    )
    whole = replace(data, sample=None)
    examples = stream_examples(whole, tokenizer, job.extraction, offline=offline)
    began, usable = time.monotonic(), 0
    for read, example in zip(numbers(1), examples, strict=False):
        usable += len(example.ids) > (example.prefix_tokens or 1)
        if time.monotonic() - began >= READING_SECONDS:
            expected = expected_examples(whole, job.extraction.window_tokens)
            return (usable, False) if expected is None else (max(expected - read + usable, usable), True)
    return usable, True


def _trained_weights(prepared: Prepared) -> int:
    return sum(weight.numel() for weight in prepared.model.parameters() if weight.requires_grad)


def _title(job: TrainingJob, processes: ProcessGroup) -> str:
    init, recipe = job.init, job.recipe
    adapter = f", an adapter of rank {recipe.lora_rank}" if recipe.lora_rank is not None else ""
    teacher = f" of {job.teacher.declared.name}" if job.teacher else ""
    parameters = f"{init.checkpoint.architecture}, {count(init.checkpoint.parameters)} parameters"
    return (
        f"{recipe.training}{teacher}, from {init.declared.name} ({parameters}{adapter}), in {recipe.precision} on"
        f" {processes.device}, over {job.training_set.declared.label}, {recipe.epochs} epochs of batches of"
        f" {recipe.batch_size}"
    )


def _share(processes: ProcessGroup, split: StepSplit) -> str:
    """What each process of several does."""
    if processes.count == 1:
        return ""
    batch = split.micro_batch_size * split.passes
    passes = f" in {split.passes} passes of {split.micro_batch_size}" if split.passes > 1 else ""
    return (
        f"{processes.count} processes, each of which computes {count(batch)} {'example' if batch == 1 else 'examples'}"
        f" of every step{passes}; the first one writes"
    )
