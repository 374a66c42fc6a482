"""A trained model or adapter → a folder with safetensors, tokenizer and run card, written whole or not at all."""

from __future__ import annotations

import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from datasets import Dataset
from torch.distributed.checkpoint.state_dict import get_model_state_dict
from transformers import GenerationConfig, PreTrainedModel

from pytest_kdmem.base.files import atomic_folder
from pytest_kdmem.base.versions import installed_version
from pytest_kdmem.corpus.chat_source import chat_training
from pytest_kdmem.corpus.cleaned import cleaned_from
from pytest_kdmem.distill.checkpoints import WHOLE_STATE, without_frozen
from pytest_kdmem.distill.job import OpenedModel, TrainingJob
from pytest_kdmem.distill.lora import write_adapter
from pytest_kdmem.distill.stored_rows import count_tokens
from pytest_kdmem.distill.train import Trained
from pytest_kdmem.distill.training_run import TrainingRun
from pytest_kdmem.engines.transformers.loading import load_model
from pytest_kdmem.engines.transformers.quiet import quiet
from pytest_kdmem.errors import EngineError
from pytest_kdmem.specs.adapter import merged_digest, read_adapter
from pytest_kdmem.specs.checkpoint import Checkpoint
from pytest_kdmem.specs.run_card import DataOrigin, ModelOrigin, RunCard, write_run_card
from pytest_kdmem.specs.weights import weights_digest

TOKENIZER_FILES = ("tokenizer", "special_tokens", "added_tokens", "vocab", "merges", "spiece", "chat_template")
RECORDED_PACKAGES = ("pytest-kdmem", "torch", "transformers", "accelerate")


def publish(run: TrainingRun, rows: Dataset, trained: Trained, out: Path) -> None:
    """Write the trained model, in bfloat16, or the trained adapter, in float32, to ``out``.

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
    weights = without_frozen(get_model_state_dict(trained.model, options=WHOLE_STATE), trained.model)
    run.processes.run_on_first(lambda: _write(weights, run.job, _run_card(run, rows, trained), out))


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
        training_set=DataOrigin(
            training_set.declared.name,
            training_set.fingerprint,
            examples=len(rows),
            tokens=count_tokens(rows),
            cleaned_from=cleaned_from(training_set.declared),
            reading=training_set.declared.reading,
        ),
        extraction=asdict(job.extraction),
        steps=trained.steps,
        epochs=job.recipe.epochs,
        seconds=round(run.folder.seconds, 3),
        processes=run.processes.count,
        resumed_at=run.folder.resumed_at,
        versions={name: installed_version(name) for name in RECORDED_PACKAGES},
        loss_curve=trained.loss_curve,
        held_out=trained.held_out,
        memorization_curve=trained.memorization_curve,
        chat=chat_training(training_set.declared, job.init.checkpoint, offline=run.options.offline),
    )


def _origin(model: OpenedModel) -> ModelOrigin:
    return ModelOrigin(model.declared.name, model.checkpoint.digest)


def _write(weights: dict[str, Any], job: TrainingJob, card: RunCard, out: Path) -> None:
    init = job.init
    with atomic_folder(out) as folder, quiet():
        # A newly loaded model, whose configuration names bfloat16 and which nothing has wrapped or sharded.
        model = load_model(init.declared, init.checkpoint, dtype="bfloat16")
        if job.recipe.lora_rank is not None:
            _check_finite(weights)
            write_adapter(weights, model, job.recipe, init.declared, init.checkpoint, folder)
        else:
            model.load_state_dict(weights)
            _check_finite(model.state_dict())
            _write_model(model, init.checkpoint.weights_folder, folder)
        for file in sorted(init.checkpoint.text_folder.iterdir()):
            if file.name.startswith(TOKENIZER_FILES):
                shutil.copyfile(file, folder / file.name)
        write_run_card(replace(card, weights=_weights_digest(init.checkpoint, folder)), folder)


def _check_finite(weights: dict[str, Any]) -> None:
    if broken := [name for name, weight in weights.items() if not weight.isfinite().all()]:
        raise EngineError(
            f"Finite weights were expected, and {broken[0]} has others at the end of the training; lower the"
            " learning rate, or check teacher and initial weights."
        )


def _write_model(model: PreTrainedModel, init_folder: Path, folder: Path) -> None:
    """Write a whole model with the generation settings and the code of the one that training started from."""
    # The generation settings are copied: transformers refuses to write settings that contradict each other.
    model.generation_config = GenerationConfig()
    model.save_pretrained(folder)
    for file in sorted(init_folder.iterdir()):
        if file.name.startswith("generation_config") or file.suffix == ".py":
            shutil.copyfile(file, folder / file.name)


def _weights_digest(base: Checkpoint, folder: Path) -> str:
    """Digest of the weights in a folder, with those of their base if they are an adapter's."""
    adapter = read_adapter(folder)
    if adapter is None:
        return weights_digest(folder)
    return merged_digest(base.weights_digest, adapter.digest(adapter.read_weights().digest))
