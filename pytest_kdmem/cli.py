"""The command `kdmem`: the same settings as in audits, without pytest."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from pytest_kdmem.errors import KdmemError, SpecError, TrainingInterrupted

USAGE_ERROR = 2
INTERRUPTED = 128 + 15  # as a process that SIGTERM ended

app = typer.Typer(
    help="Audit what distilled language models recite of their training data.",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
cache = typer.Typer(help="Look at the score store, or clear it.", no_args_is_help=True)
app.add_typer(cache, name="cache")

TextColumn = Annotated[str, typer.Option(help="Column of the text.")]
Form = Annotated[str, typer.Option(help="How text became examples: documents or blocks.")]
Split = Annotated[str, typer.Option(help="Split of a hub data set or a saved DatasetDict.")]
PrefixTokens = Annotated[int, typer.Option(help="Tokens given to the model.")]
SuffixTokens = Annotated[int, typer.Option(help="Tokens expected from it.")]
WindowTokens = Annotated[int, typer.Option(help="Most tokens kept of an example.")]
DType = Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Offline = Annotated[bool, typer.Option("--offline", help="Never open a connection.")]
TrustRemoteCode = Annotated[
    bool, typer.Option("--trust-remote-code", help="Run modelling code that comes with a checkpoint.")
]
CacheDir = Annotated[Path, typer.Option(envvar="KDMEM_CACHE_DIR", help="Where scores are kept.")]


@app.command(epilog="Example: kdmem score runs/student data/train.jsonl --out scores.parquet")
def score(
    model: Annotated[str, typer.Argument(help="Folder or hub id.")],
    training_set: Annotated[str, typer.Argument(help="File, folder, hub id or preset.")],
    out: Annotated[Path, typer.Option(help="Where the table goes (.parquet), one row an example.")],
    text_column: TextColumn = "text",
    form: Form = "documents",
    split: Split = "train",
    prefix_tokens: PrefixTokens = 50,
    suffix_tokens: SuffixTokens = 50,
    window_tokens: WindowTokens = 256,
    sample: Annotated[int | None, typer.Option(help="So many distinct examples, drawn at random.")] = None,
    seed: Annotated[int, typer.Option(help="Of the sample.")] = 0,
    engine: Annotated[str, typer.Option(help="auto or transformers.")] = "auto",
    dtype: DType = "auto",
    device: Device = "auto",
    batch_size: Annotated[int | None, typer.Option(help="Examples at once; found by itself if not given.")] = None,
    confirm: Annotated[
        bool, typer.Option("--confirm", help="Decode ambiguous and other examples, and compare.")
    ] = False,
    cache_dir: CacheDir = Path(".kdmem"),
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Keep no scores beyond this run.")] = False,
    offline: Offline = False,
    trust_remote_code: TrustRemoteCode = False,
) -> None:
    """Score every example of a training set and write the table."""
    from rich.console import Console

    from pytest_kdmem.confirmation import confirm as confirm_scores
    from pytest_kdmem.memorization import Memorization
    from pytest_kdmem.progress import NO_PROGRESS, Bar
    from pytest_kdmem.report.files import write_table
    from pytest_kdmem.scoring import RunSettings
    from pytest_kdmem.scoring import score as score_model
    from pytest_kdmem.spec import Extraction, Model, TrainingSet
    from pytest_kdmem.store import ScoreStore

    if out.suffix != ".parquet":
        raise SpecError(f"--out must end in .parquet; found {out}.")
    run = RunSettings(engine, device, dtype, batch_size, offline)
    with tempfile.TemporaryDirectory(prefix="kdmem-") as scratch:
        scores = score_model(
            Model(model, trust_remote_code=trust_remote_code),
            TrainingSet(
                training_set,
                text_column=text_column,
                split=split,
                form=form,  # type: ignore[arg-type]
                sample=sample,
                seed=seed,
            ),
            Extraction(prefix_tokens, suffix_tokens, window_tokens),
            ScoreStore(Path(scratch) if no_cache else cache_dir),
            settings=run,
            progress=Bar() if sys.stdout.isatty() else NO_PROGRESS,
        )
    found = Memorization(scores.model.name, scores)
    console = Console(highlight=False, markup=False, soft_wrap=True)
    if confirm:
        confirmation = confirm_scores(scores, run)
        confirmation.check(found.subject)
        console.print(
            f"confirmed by greedy decoding: {confirmation.checked} examples, {confirmation.ambiguous_checked} of them"
            f" ambiguous, {len(confirmation.disagreements)} disagreements, all within the ambiguous band"
        )
    write_table(scores.rows, out)
    left_out = f", {scores.record.left_out} shorter documents left out" if scores.record.left_out else ""
    console.print(f"{found.rate.metric} of {found.subject}: {found.rate}; {found.too_short} too short{left_out}")
    console.print(f"{len(scores.rows)} rows in {out}")


@app.command(
    epilog="Example: kdmem distill --teacher runs/teacher --init base-small --train data/train.jsonl --mode soft"
    " --temperature 2 --out runs/student. Several processes: torchrun --nproc-per-node 2 -m pytest_kdmem distill …"
)
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
    text_column: TextColumn = "text",
    form: Form = "documents",
    split: Split = "train",
    prefix_tokens: PrefixTokens = 50,
    suffix_tokens: SuffixTokens = 50,
    window_tokens: WindowTokens = 256,
    cache_dir: CacheDir = Path(".kdmem"),
    offline: Offline = False,
    trust_remote_code: TrustRemoteCode = False,
) -> None:
    """Train a baseline, or a student of a teacher; a stopped training goes on when the command is given again."""
    from pytest_kdmem.distill.execution import Execution
    from pytest_kdmem.distill.processes import join_processes
    from pytest_kdmem.distill.recipe import Recipe
    from pytest_kdmem.progress import Bar, Lines
    from pytest_kdmem.spec import Extraction, Model, TrainingSet

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
        return TrainingSet(source, text_column=text_column, form=form, split=split)  # type: ignore[arg-type]

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
    if join_processes().is_first:
        typer.echo(f"{recipe.mode} model in {made.source}")


@app.command(epilog="Example: kdmem study studies/cpu.toml --out runs/study --only main")
def study(
    config: Annotated[Path, typer.Argument(help="What is trained and compared (.toml).")],
    out: Annotated[Path, typer.Option(help="Folder of texts, models, scores and the report.")],
    only: Annotated[list[str] | None, typer.Option(help="Parts to run, with what they need; default: all.")] = None,
    data: Annotated[Path | None, typer.Option(envvar="KDMEM_DATA", help="Folder of the texts.")] = None,
) -> None:
    """Replicate the study: train all models, score them, and set each finding beside the published one.

    What is there already is used, so a stopped study goes on.
    """
    from pytest_kdmem.study.report import write_report
    from pytest_kdmem.study.run import run_study

    found = run_study(config, out, only=tuple(only or ()), data=data, report=typer.echo)
    for path in write_report(found, out / "report"):
        typer.echo(f"wrote {path}")


@cache.command("info")
def cache_info(cache_dir: CacheDir = Path(".kdmem")) -> None:
    """How much is stored."""
    from pytest_kdmem.store import ScoreStore

    info = ScoreStore(cache_dir).info()
    typer.echo(f"{info.root}: {info.shards} score shards, {info.corpora} training sets, {info.size_bytes / 1e6:.1f} MB")


@cache.command("prune")
def cache_prune(
    cache_dir: CacheDir = Path(".kdmem"),
    older_than_days: Annotated[float, typer.Option(help="Keep what was written since.")] = 0.0,
) -> None:
    """Remove stored scores."""
    from pytest_kdmem.store import ScoreStore

    typer.echo(f"{ScoreStore(cache_dir).prune(older_than_days=older_than_days)} files removed from {cache_dir}")


def main(arguments: list[str] | None = None) -> Any:
    """Entry point: a mistake of the user's is one sentence on stderr and exit code 2; SIGTERM is 143."""
    try:
        return app(arguments)
    except TrainingInterrupted as stopped:
        typer.echo(f"kdmem: {stopped}", err=True)
        sys.exit(INTERRUPTED)
    except KdmemError as error:
        typer.echo(f"kdmem: {error}", err=True)
        sys.exit(USAGE_ERROR)
