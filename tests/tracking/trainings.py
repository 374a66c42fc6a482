"""Tiny trainings under `transformers.Trainer`, and what their models say token by token."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, Trainer, TrainerCallback, TrainingArguments

from pytest_kdmem import MemorizationCallback
from pytest_kdmem.specs.declared import Extraction, TrainingSet

WORDS = 97
LENGTHS = Extraction(8, 8, 16)
STEPS = 60
RATE = "kdmem/student/memorization_rate"


def random_ids(rows: int = 16, tokens: int = 16, *, seed: int = 0) -> np.ndarray:
    """Rows that nothing but training makes a model recite."""
    return np.random.default_rng(seed).integers(4, WORDS, (rows, tokens), dtype=np.int32)


def tiny_model(**settings: Any) -> GPTNeoXForCausalLM:
    torch.manual_seed(0)
    shape = {"vocab_size": WORDS, "hidden_size": 48, "num_hidden_layers": 1, "num_attention_heads": 2}
    shape |= {"intermediate_size": 96, "max_position_embeddings": 64}
    return GPTNeoXForCausalLM(GPTNeoXConfig(**(shape | settings)))  # type: ignore[arg-type]


def rows_of(ids: np.ndarray) -> list[dict[str, list[int]]]:
    """Rows as a trainer takes them."""
    return [{"input_ids": row.tolist(), "labels": row.tolist()} for row in ids]


def arguments(folder: Path, **settings: Any) -> TrainingArguments:
    """Arguments of a training in which a tiny model learns sixteen rows by heart."""
    defaults: dict[str, Any] = {
        "output_dir": str(folder),
        "max_steps": STEPS,
        "per_device_train_batch_size": 16,
        "learning_rate": 1e-2,
        "lr_scheduler_type": "constant",
        "report_to": [],
        "disable_tqdm": True,
        "logging_steps": 10,
        "save_strategy": "no",
        "use_cpu": True,
    }
    return TrainingArguments(**(defaults | settings))


def trainer_of(folder: Path, ids: np.ndarray, *callbacks: TrainerCallback, model=None, **settings: Any) -> Trainer:
    rows = rows_of(ids)
    return Trainer(
        model=model or tiny_model(),
        args=arguments(folder, **settings),
        train_dataset=rows,
        eval_dataset=rows[:4],
        callbacks=list(callbacks),
    )


def write_set(folder: Path, ids: np.ndarray) -> TrainingSet:
    np.save(folder / "ids.npy", ids)
    return TrainingSet(folder / "ids.npy")


def recited(model: nn.Module, ids: np.ndarray, lengths: Extraction = LENGTHS) -> int:
    """Number of rows whose suffix a model says after their prefix: token by token, without a cache."""
    was_training = model.training
    model.eval()
    spoken = torch.from_numpy(ids[:, : lengths.prefix_tokens].astype(np.int64))
    with torch.no_grad():
        for _ in range(lengths.suffix_tokens):
            following = model(input_ids=spoken).logits[:, -1].argmax(dim=-1, keepdim=True)
            spoken = torch.cat([spoken, following], dim=1)
    model.train(was_training)
    return int((spoken.numpy() == ids[:, : lengths.scored_tokens]).all(axis=1).sum())


class GreedyLoop(TrainerCallback):
    """Counts what the model recites at each step that is asked for, independently of the package.

    Args:
        ids: The rows.
        every: Number of steps between two counts.
    """

    def __init__(self, ids: np.ndarray, every: int) -> None:
        self._ids, self._every, self.counts = ids, every, {}

    def on_train_begin(self, args, state, control, model=None, **context):
        self.counts[0] = recited(model, self._ids)

    def on_step_end(self, args, state, control, model=None, **context):
        if state.global_step % self._every == 0:
            self.counts[state.global_step] = recited(model, self._ids)


def callback_of(training_set: Any, **settings: Any) -> MemorizationCallback:
    """A callback that measures at every tenth step."""
    return MemorizationCallback(training_set, **({"every": 10, "extraction": LENGTHS} | settings))


def logged(trainer: Trainer, name: str = RATE) -> dict[int, float]:
    """A figure in the history of a training, by step."""
    return {entry["step"]: entry[name] for entry in trainer.state.log_history if name in entry}
