"""A trained model → a folder with bfloat16 safetensors, tokenizer and run card, written whole or not at all."""

from __future__ import annotations

import shutil
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from datasets import Dataset
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from transformers import GenerationConfig

from pytest_kdmem.base.files import atomic_folder
from pytest_kdmem.distill.job import OpenedModel
from pytest_kdmem.distill.stored_rows import count_tokens
from pytest_kdmem.distill.train import Trained
from pytest_kdmem.distill.training_run import TrainingRun
from pytest_kdmem.engines.transformers.loading import load_model, quiet
from pytest_kdmem.errors import EngineError
from pytest_kdmem.specs.run_card import DataOrigin, ModelOrigin, RunCard, write_run_card
from pytest_kdmem.specs.weights import weights_digest

TOKENIZER_FILES = ("tokenizer", "special_tokens", "added_tokens", "vocab", "merges", "spiece", "chat_template")
RECORDED_PACKAGES = ("pytest-kdmem", "torch", "transformers", "accelerate")


def publish(run: TrainingRun, rows: Dataset, trained: Trained, out: Path) -> None:
    """Write the trained model to ``out``.

    Every process calls this function, because the weights may be sharded over them; the first one writes.

    Args:
        run: The run that trained the model.
        rows: The rows that it was trained on.
        trained: The trained model and its losses.
        out: The folder; new or empty.

    Raises:
        EngineError: A weight is not finite.
        DataError: The folder cannot be written.
    """
    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    weights: dict[str, Any] = get_model_state_dict(trained.model, options=options)
    run.processes.run_on_first(lambda: _write_model(weights, run.job.init, _run_card(run, rows, trained), out))


def _run_card(run: TrainingRun, rows: Dataset, trained: Trained) -> RunCard:
    """The run card, still without the digest of the weights."""
    job, training_set = run.job, run.job.training_set
    return RunCard(
        weights="",
        mode=job.recipe.mode,
        recipe=asdict(job.recipe),
        loss=job.recipe.loss,
        init=_origin(job.init),
        teacher=_origin(job.teacher) if job.teacher else None,
        training_set=DataOrigin(training_set.declared.name, training_set.fingerprint, len(rows), count_tokens(rows)),
        extraction=asdict(job.extraction),
        steps=trained.steps,
        epochs=job.recipe.epochs,
        seconds=round(run.folder.seconds, 3),
        processes=run.processes.count,
        resumed_at=run.folder.resumed_at,
        versions={name: version(name) for name in RECORDED_PACKAGES},
        loss_curve=trained.loss_curve,
        held_out=trained.held_out,
    )


def _origin(model: OpenedModel) -> ModelOrigin:
    return ModelOrigin(model.declared.name, model.checkpoint.digest)


def _write_model(weights: dict[str, Any], init: OpenedModel, card: RunCard, out: Path) -> None:
    with atomic_folder(out) as folder, quiet():
        # A newly loaded model, whose configuration names bfloat16 and which nothing has wrapped or sharded.
        model = load_model(init.declared, init.checkpoint, dtype="bfloat16")
        model.load_state_dict(weights)
        if broken := [name for name, weight in model.state_dict().items() if not weight.isfinite().all()]:
            raise EngineError(
                f"Finite weights were expected, and {broken[0]} has others at the end of the training; lower the"
                " learning rate, or check teacher and initial weights."
            )
        # The generation settings are copied below: transformers refuses to write settings that contradict each other.
        model.generation_config = GenerationConfig()
        model.save_pretrained(folder)
        for file in sorted(init.checkpoint.weights_folder.iterdir()):
            if file.name.startswith("generation_config") or file.suffix == ".py":
                shutil.copyfile(file, folder / file.name)
        for file in sorted(init.checkpoint.text_folder.iterdir()):
            if file.name.startswith(TOKENIZER_FILES):
                shutil.copyfile(file, folder / file.name)
        write_run_card(replace(card, weights=weights_digest(folder)), folder)
