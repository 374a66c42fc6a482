"""Writes run cards beside the models that a `transformers.Trainer` saves, with the curve of what they recite."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from transformers import Trainer
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from pytest_kdmem.base.versions import installed_version
from pytest_kdmem.corpus.cleaned import cleaned_from
from pytest_kdmem.corpus.sources import training_fingerprint
from pytest_kdmem.specs.checkpoint import Checkpoint, open_checkpoint
from pytest_kdmem.specs.declared import Model, TrainingSet
from pytest_kdmem.specs.figure_names import RATE, figure_name
from pytest_kdmem.specs.run_card import (
    OTHER_TRAINER,
    ChatTraining,
    Curve,
    DataOrigin,
    ModelOrigin,
    RunCard,
    write_run_card,
)
from pytest_kdmem.tracking.chat_training import chat_of_trainer
from pytest_kdmem.tracking.training_sample import TrainingSample

RECORDED_PACKAGES = ("pytest-kdmem", "torch", "transformers", "accelerate")
# Packages that take part in a training if it has imported them.
OTHER_PACKAGES = ("trl", "peft")
RECIPE = (
    "learning_rate",
    "num_train_epochs",
    "max_steps",
    "per_device_train_batch_size",
    "gradient_accumulation_steps",
    "weight_decay",
    "max_grad_norm",
    "seed",
    "bf16",
    "fp16",
)
# Settings of trainers of TRL.
RECIPE_OF_TRL = ("assistant_only_loss", "completion_only_loss", "packing", "packing_strategy", "max_length")
CURVE_POINTS = 500


@dataclass(frozen=True, eq=False)
class TrainingCards:
    """The run cards of one training.

    Args:
        trainer: The trainer.
        training_set: The training set that the callback was given.
        sample: What of it was scored.
        role: Role of the model in the names of its figures.
        chat: How the training reads conversations; None of other rows.
        started: Clock at the beginning of the training, in seconds.
    """

    trainer: Trainer
    training_set: TrainingSet
    sample: TrainingSample
    role: str
    chat: ChatTraining | None = None
    started: float = field(default_factory=time.monotonic)

    @classmethod
    def of(
        cls,
        trainer: Trainer,
        training_set: TrainingSet,
        sample: TrainingSample,
        role: str,
        tokenizer: Any,
        offline: bool,
    ) -> TrainingCards:
        """The cards of a training that begins, whose tokenizer tells how it reads conversations."""
        return cls(
            trainer, training_set, sample, role, chat_of_trainer(trainer, training_set, tokenizer, offline=offline)
        )

    def checkpoint_folder(self, step: int) -> Path:
        """Where the trainer saves the model of a step."""
        return Path(str(self.trainer.args.output_dir)) / f"{PREFIX_CHECKPOINT_DIR}-{step}"

    def write(self, saved: Path, *others: Path) -> None:
        """Write the card of the model that is saved in a folder into this folder, and others.

        Raises:
            SpecError: There is no model that can be audited, or the base of an adapter cannot be opened.
            DataError: A card cannot be written.
        """
        card = self._card(open_checkpoint(Model(str(saved)), offline=True))
        for folder in (saved, *others):
            write_run_card(card, folder)

    def _card(self, saved: Checkpoint) -> RunCard:
        trainer, state = self.trainer, self.trainer.state
        arguments = trainer.args
        training_set, whole = self.training_set, training_fingerprint(self.training_set)
        config: Any = getattr(trainer.model, "config", None)
        start = ModelOrigin(getattr(config, "_name_or_path", "") or "", "")
        packages = [*RECORDED_PACKAGES, *(name for name in OTHER_PACKAGES if name in sys.modules)]
        return RunCard(
            weights=saved.weights_digest,
            mode=OTHER_TRAINER,
            recipe={name: getattr(arguments, name) for name in (*RECIPE, *RECIPE_OF_TRL) if hasattr(arguments, name)},
            loss=f"loss of {type(trainer).__name__}",
            # What a whole model started from is no longer in memory, and the base of an adapter was just opened.
            init=start if saved.base is None else ModelOrigin(saved.base_source, saved.base.digest),
            teacher=None,
            training_set=DataOrigin(
                training_set.name,
                whole,
                self.sample.record.examples,
                tokens=0,
                cleaned_from=cleaned_from(training_set),
                reading=training_set.reading,
            ),
            # The window of the training is not known, which may be longer than what is scored.
            extraction={key: value for key, value in asdict(self.sample.extraction).items() if key != "window_tokens"},
            steps=state.global_step,
            epochs=state.epoch or 0,
            seconds=round(time.monotonic() - self.started, 3),
            processes=arguments.world_size,
            resumed_at=(),
            versions={name: installed_version(name) for name in packages},
            loss_curve=curve_of(state.log_history, "loss"),
            held_out=curve_of(state.log_history, "eval_loss"),
            memorization_curve=curve_of(state.log_history, figure_name(RATE, self.role)),
            chat=self.chat,
        )


def curve_of(history: Iterable[Mapping[str, Any]], name: str) -> Curve:
    """Pairs of step and figure of a trainer's history, the last of each step, and of very many those evenly spread."""
    points = sorted({int(entry["step"]): float(entry[name]) for entry in history if name in entry}.items())
    spacing = -(-len(points) // CURVE_POINTS) or 1
    return tuple(points[::-1][::spacing][::-1])  # from the last one, which is always there
