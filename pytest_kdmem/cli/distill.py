"""`kdmem distill`: a baseline or a student, trained."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pytest_kdmem.cli import options

if TYPE_CHECKING:
    from pytest_kdmem.specs.declared import TrainingSet


def distill(
    init: Annotated[str, typer.Option(help="Model to start from: folder or hub id.")],
    train: Annotated[str, typer.Option(help="Training set: file, folder, hub id or preset.")],
    out: Annotated[Path, typer.Option(help="Folder of the trained model; must be new or empty.")],
    teacher: Annotated[str | None, typer.Option(help="Model to learn from (soft and hard).")] = None,
    held_out: Annotated[str | None, typer.Option(help="Text to evaluate on after each epoch.")] = None,
    mode: Annotated[
        str, typer.Option(help="soft (teacher's distribution), hard (teacher's text) or baseline (cross-entropy).")
    ] = "soft",
    temperature: Annotated[float, typer.Option(help="Of the soft loss, which is scaled by its square.")] = 2.0,
    divergence: Annotated[str, typer.Option(help="Of the soft loss: forward (KL), reverse (KL) or jsd.")] = "forward",
    jsd_weight: Annotated[float, typer.Option(help="Teacher's weight in the middle distribution of jsd.")] = 0.5,
    cross_entropy_weight: Annotated[float, typer.Option(help="Share of cross-entropy in the soft loss.")] = 0.0,
    teacher_top_k: Annotated[
        int | None, typer.Option(help="Store so many of the teacher's log-probabilities a token, and learn from them.")
    ] = None,
    epochs: Annotated[int, typer.Option(help="Passes over the training set.")] = 4,
    learning_rate: Annotated[float, typer.Option(help="Peak of a cosine schedule.")] = 5e-5,
    batch_size: Annotated[int, typer.Option(help="Examples a step, over all processes.")] = 16,
    warmup: Annotated[float, typer.Option(help="Part of the steps with rising learning rate.")] = 0.02,
    weight_decay: Annotated[float, typer.Option(help="Of AdamW.")] = 0.0,
    max_gradient_norm: Annotated[float, typer.Option(help="Gradients are scaled down to it; 0 leaves them.")] = 1.0,
    packing: Annotated[bool, typer.Option("--packing", help="Put short examples side by side in one row.")] = False,
    precision: Annotated[str, typer.Option(help="Of the forward pass: bfloat16 or float32.")] = "bfloat16",
    seed: Annotated[int, typer.Option(help="Of the order of the data.")] = 0,
    micro_batch_size: Annotated[int | None, typer.Option(help="Examples a pass and process; default: all.")] = None,
    gradient_checkpointing: Annotated[
        bool, typer.Option("--gradient-checkpointing", help="Compute activations twice to keep fewer.")
    ] = False,
    checkpoint_minutes: Annotated[float, typer.Option(help="Between checkpoints of an unfinished training.")] = 10.0,
    text_column: options.TextColumn = "text",
    form: options.Form = "documents",
    split: options.Split = "train",
    prefix_tokens: options.PrefixTokens = 50,
    suffix_tokens: options.SuffixTokens = 50,
    window_tokens: options.WindowTokens = 256,
    cache_dir: options.CacheDir = Path(".kdmem"),
    offline: options.Offline = False,
    trust_remote_code: options.TrustRemoteCode = False,
) -> None:
    """Train a baseline, or a student of a teacher; a stopped training goes on when the command is given again."""
    from pytest_kdmem.base.progress import Bar, Lines
    from pytest_kdmem.distill.execution import Execution
    from pytest_kdmem.distill.process_group import join_process_group
    from pytest_kdmem.distill.recipe import Recipe
    from pytest_kdmem.specs.declared import Extraction, Model

    recipe = Recipe(
        mode=mode,  # type: ignore[arg-type]
        temperature=temperature,
        divergence=divergence,  # type: ignore[arg-type]
        jsd_weight=jsd_weight,
        cross_entropy_weight=cross_entropy_weight,
        teacher_top_k=teacher_top_k,
        epochs=epochs,
        learning_rate=learning_rate,
        batch_size=batch_size,
        warmup=warmup,
        weight_decay=weight_decay,
        max_gradient_norm=max_gradient_norm,
        packing=packing,
        precision=precision,  # type: ignore[arg-type]
        seed=seed,
    )
    execution = Execution(micro_batch_size, gradient_checkpointing, checkpoint_minutes)

    def data(source: str) -> TrainingSet:
        return options.training_set(source, text_column=text_column, form=form, split=split)

    from pytest_kdmem.distill.run import distill as train_model

    made = train_model(
        recipe,
        init=Model(init, trust_remote_code=trust_remote_code),
        training_set=data(train),
        teacher=Model(teacher, trust_remote_code=trust_remote_code) if teacher else None,
        held_out=data(held_out) if held_out else None,
        out=out,
        extraction=Extraction(prefix_tokens, suffix_tokens, window_tokens),
        execution=execution,
        cache_dir=cache_dir,
        offline=offline,
        progress=Bar() if sys.stdout.isatty() else Lines(typer.echo),
        report=typer.echo,
    )
    if join_process_group().is_first:
        typer.echo(f"{recipe.mode} model in {made.source}")
