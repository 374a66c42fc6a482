"""Reaches the trainer of a callback, and logs figures on the way that the trainer's own figures take."""

from __future__ import annotations

import sys

from transformers import Trainer, TrainerCallback

from pytest_kdmem.errors import SpecError


def trainer_of(callback: TrainerCallback) -> Trainer:
    """The trainer that calls a callback at this moment.

    transformers hands callbacks everything but the trainer, without which nothing reaches the callbacks of trackers;
    it is among those who called.

    Raises:
        SpecError: None of the callers is a trainer with this callback.
    """
    frame = sys._getframe(1)
    while frame.f_back is not None:
        frame = frame.f_back
        caller = frame.f_locals.get("self")
        if isinstance(caller, Trainer) and callback in caller.callback_handler.callbacks:
            return caller
    raise SpecError(
        f"A Trainer of transformers was expected to call {type(callback).__name__}, and none of its callers is one; add"
        " it by callbacks=[…] or add_callback."
    )


def log_figures(trainer: Trainer, figures: dict[str, float]) -> None:
    """Log figures into the trainer's history and to all of its callbacks, among them those of trackers.

    This is what `Trainer` itself does. What subclasses add to their own lines, as TRL's trainers do, stays for these;
    and what the trainer has still to log in this step, it does.
    """
    should_log = trainer.control.should_log
    Trainer.log(trainer, dict(figures))
    trainer.control.should_log = should_log
