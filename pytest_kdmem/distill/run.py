"""Recipe × models × training set → trained model in a folder."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from datasets import Dataset
from filelock import FileLock
from torch import nn
from transformers import PreTrainedModel, PrinterCallback, Trainer, TrainingArguments, set_seed

from pytest_kdmem.checkpoint import Checkpoint, open_checkpoint
from pytest_kdmem.corpus.columns import Ids
from pytest_kdmem.corpus.examples import load_tokenizer, stream_examples
from pytest_kdmem.corpus.sources import fingerprint
from pytest_kdmem.distill.losses import IGNORED
from pytest_kdmem.distill.recipe import Recipe
from pytest_kdmem.distill.sequence_level import teacher_sequences
from pytest_kdmem.distill.trainer import SoftDistillationTrainer
from pytest_kdmem.engines.loading import load_model, quiet
from pytest_kdmem.errors import DataError, SpecError
from pytest_kdmem.spec import Extraction, Model, TrainingSet, digest_of

GENERATION_BATCH = 64


def distill(
    recipe: Recipe,
    *,
    init: Model,
    training_set: TrainingSet,
    out: Path,
    teacher: Model | None = None,
    extraction: Extraction | None = None,
    offline: bool = False,
    report: Callable[[str], None] = lambda line: None,
) -> Model:
    """Train ``init`` by the recipe and write weights (bfloat16), configuration and tokenizer to ``out``.

    Raises:
        SpecError: a soft or hard recipe without a teacher, a teacher of another tokenizer, or ``out`` is not empty.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SpecError(
            f"An empty or new folder was expected for the trained model; {out} is a file or holds files already."
        )
    extraction = extraction or Extraction()
    init_checkpoint = open_checkpoint(init, offline=offline)
    teacher_checkpoint = _teacher_checkpoint(recipe, teacher, init_checkpoint, offline=offline)
    tokenizer = load_tokenizer(init_checkpoint.folder, trust_remote_code=init.trust_remote_code)
    everything = replace(training_set, sample=None)
    examples: Iterable[Ids] = (
        example.ids for example in stream_examples(everything, tokenizer, extraction, offline=offline)
    )
    set_seed(recipe.seed)
    model = load_model(init, init_checkpoint, dtype="float32")
    teacher_model = None
    if teacher is not None and teacher_checkpoint is not None:
        teacher_model = load_model(teacher, teacher_checkpoint, dtype="float32")
    if recipe.mode == "hard" and teacher_model is not None:
        report("the teacher writes the training text")
        examples = teacher_sequences(teacher_model, examples, extraction, batch_size=GENERATION_BATCH)
    with tempfile.TemporaryDirectory(prefix="kdmem-distill-") as scratch:
        data = _on_disk(examples, Path(scratch) / "examples.arrow", model.config.get_text_config().vocab_size)
        if not len(data):
            raise DataError(f"Examples to train on were expected in {training_set.source}, and there are none.")
        report(f"{recipe.mode}: {len(data)} examples, {recipe.epochs} epochs")
        arguments: dict[str, Any] = {
            "model": model,
            "args": _arguments(recipe, scratch),
            "train_dataset": data,
            "data_collator": collate,
        }
        if recipe.mode == "soft" and teacher_model is not None:
            vocabulary = min(
                tokenizer.size if tokenizer else sys.maxsize, model.config.vocab_size, teacher_model.config.vocab_size
            )
            trainer: Trainer = SoftDistillationTrainer(
                teacher=teacher_model, temperature=recipe.temperature, vocabulary=vocabulary, **arguments
            )
        else:
            trainer = Trainer(**arguments)
        trainer.remove_callback(PrinterCallback)  # prints dictionaries where the progress bar is off
        with quiet():
            trainer.train()
            if trainer.is_world_process_zero():
                _save(model, init_checkpoint, out)
    return Model(str(out))


def distill_once(
    recipe: Recipe,
    *,
    init: Model,
    training_set: TrainingSet,
    models_dir: Path,
    out: Path | None = None,
    teacher: Model | None = None,
    extraction: Extraction | None = None,
    offline: bool = False,
) -> Model:
    """`distill` into ``models_dir`` under a name made of all the run depends on; what stands there already is used.

    With ``out`` the model goes there instead, and a folder that holds files is an error as in `distill`.
    """
    if out is None:
        source = fingerprint(replace(training_set, sample=None))
        parts = [
            recipe.digest,
            source,
            (extraction or Extraction()).digest,
            open_checkpoint(init, offline=offline).digest,
        ]
        if teacher is not None and recipe.mode != "baseline":
            parts.append(open_checkpoint(teacher, offline=offline).digest)
        if source is None:  # nothing tells whether the data is the same, so nothing found before is
            parts.append(secrets.token_hex(8))
        out = models_dir / f"{recipe.mode}-{digest_of(parts)[:16]}"
    models_dir.mkdir(parents=True, exist_ok=True)
    with FileLock(models_dir / ".lock"):
        if out.parent == models_dir and out.is_dir():
            return Model(str(out))
        return distill(
            recipe,
            init=init,
            training_set=training_set,
            out=out,
            teacher=teacher,
            extraction=extraction,
            offline=offline,
        )


def collate(rows: list[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
    """Rows of ids → ``input_ids`` and ``labels`` ``[batch, longest]`` int64; padding is on the right and not predicted.

    Causal attention never looks right, so no mask is needed.
    """
    longest = max(len(row["input_ids"]) for row in rows)
    ids = torch.zeros(len(rows), longest, dtype=torch.int64)
    labels = torch.full_like(ids, IGNORED)
    for index, row in enumerate(rows):
        tokens = torch.tensor(row["input_ids"])
        ids[index, : len(tokens)] = labels[index, : len(tokens)] = tokens
    return {"input_ids": ids, "labels": labels}


def _teacher_checkpoint(recipe: Recipe, teacher: Model | None, init: Checkpoint, *, offline: bool) -> Checkpoint | None:
    if recipe.mode == "baseline":
        return None
    if teacher is None:
        raise SpecError(f"A teacher was expected for mode {recipe.mode}, and none was given; name one with --teacher.")
    checkpoint = open_checkpoint(teacher, offline=offline)
    if checkpoint.tokenizer_digest != init.tokenizer_digest:
        raise SpecError(
            f"Teacher {checkpoint.folder} and student {init.folder} were expected to share a tokenizer, and their"
            " tokenizers differ; distillation compares them token by token."
        )
    return checkpoint


def _on_disk(examples: Iterable[Ids], path: Path, vocabulary: int) -> Dataset:
    """Examples as a memory-mapped data set, so that training needs no more memory for a larger set."""
    schema = pa.schema([("input_ids", pa.list_(pa.int32()))])
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
        for position, ids in enumerate(examples):
            if len(ids) and ids.max() >= vocabulary:
                raise DataError(f"Ids below {vocabulary} were expected; example {position} holds {ids.max()}.")
            if len(ids) > 1:
                writer.write_batch(pa.record_batch([pa.array([ids], schema.field(0).type)], schema=schema))
    return Dataset.from_file(str(path))


def _arguments(recipe: Recipe, scratch: str) -> TrainingArguments:
    return TrainingArguments(
        output_dir=scratch,
        num_train_epochs=recipe.epochs,
        per_device_train_batch_size=recipe.batch_size,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=recipe.warmup,
        weight_decay=recipe.weight_decay,
        seed=recipe.seed,
        use_cpu=not torch.cuda.is_available(),
        bf16=recipe.precision == "bfloat16",
        save_strategy="no",
        logging_strategy="no",
        report_to=[],
        disable_tqdm=True,
        dataloader_pin_memory=torch.cuda.is_available(),
    )


def _save(model: PreTrainedModel, init: Checkpoint, out: Path) -> None:
    """Write beside ``out`` and rename, so that a folder of that name is always a whole model."""
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f".{out.name}.{os.getpid()}")
    nn.Module.to(model, torch.bfloat16)
    model.save_pretrained(partial)
    for file in sorted(init.folder.iterdir()):
        if file.name.startswith(("tokenizer", "special_tokens", "vocab", "merges", "spiece", "chat_template")):
            shutil.copyfile(file, partial / file.name)
    if out.exists():
        out.rmdir()
    partial.replace(out)
