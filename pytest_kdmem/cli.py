"""The command `kdmem`: the same settings as in audits, without pytest."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from pytest_kdmem.errors import KdmemError, SpecError

USAGE_ERROR = 2

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
    console.print(f"{found.rate.metric} of {found.subject}: {found.rate}; {found.too_short} too short")
    console.print(f"{len(scores.rows)} rows in {out}")


@app.command(
    epilog="Example: kdmem distill --teacher runs/teacher --init base-small --train data/train.jsonl --mode soft"
    " --temperature 2 --out runs/student"
)
def distill(
    init: Annotated[str, typer.Option(help="Model to start from: folder or hub id.")],
    train: Annotated[str, typer.Option(help="Training set: file, folder, hub id or preset.")],
    out: Annotated[Path, typer.Option(help="Folder of the trained model; must be new or empty.")],
    teacher: Annotated[str | None, typer.Option(help="Model to learn from (soft and hard).")] = None,
    mode: Annotated[
        str, typer.Option(help="soft (forward KL), hard (teacher's text) or baseline (cross-entropy).")
    ] = "soft",
    temperature: Annotated[float, typer.Option(help="Of the soft loss.")] = 2.0,
    epochs: Annotated[int, typer.Option(help="Passes over the training set.")] = 4,
    learning_rate: Annotated[float, typer.Option(help="Peak of a cosine schedule.")] = 5e-5,
    batch_size: Annotated[int, typer.Option(help="Examples a step and process.")] = 16,
    warmup: Annotated[float, typer.Option(help="Part of the steps with rising learning rate.")] = 0.02,
    weight_decay: Annotated[float, typer.Option(help="Of AdamW.")] = 0.0,
    precision: Annotated[str, typer.Option(help="Of the forward pass: bfloat16 or float32.")] = "bfloat16",
    seed: Annotated[int, typer.Option(help="Of the order of the data.")] = 0,
    text_column: TextColumn = "text",
    form: Form = "documents",
    split: Split = "train",
    prefix_tokens: PrefixTokens = 50,
    suffix_tokens: SuffixTokens = 50,
    window_tokens: WindowTokens = 256,
    offline: Offline = False,
    trust_remote_code: TrustRemoteCode = False,
) -> None:
    """Train a baseline, or a student of a teacher."""
    from pytest_kdmem.distill.recipe import Recipe
    from pytest_kdmem.spec import Extraction, Model, TrainingSet

    recipe = Recipe(
        mode=mode,  # type: ignore[arg-type]
        temperature=temperature,
        epochs=epochs,
        learning_rate=learning_rate,
        batch_size=batch_size,
        warmup=warmup,
        weight_decay=weight_decay,
        precision=precision,  # type: ignore[arg-type]
        seed=seed,
    )
    data = TrainingSet(train, text_column=text_column, form=form, split=split)  # type: ignore[arg-type]
    from pytest_kdmem.distill.run import distill as train_model

    made = train_model(
        recipe,
        init=Model(init, trust_remote_code=trust_remote_code),
        training_set=data,
        teacher=Model(teacher, trust_remote_code=trust_remote_code) if teacher else None,
        out=out,
        extraction=Extraction(prefix_tokens, suffix_tokens, window_tokens),
        offline=offline,
        report=typer.echo,
    )
    typer.echo(f"{recipe.mode} model in {made.source}")


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
    """Entry point: a mistake of the user's is one sentence on stderr and exit code 2."""
    try:
        return app(arguments)
    except KdmemError as error:
        typer.echo(f"kdmem: {error}", err=True)
        sys.exit(USAGE_ERROR)
