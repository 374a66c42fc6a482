"""Options that several commands take, and what they make; the values' modules are loaded when a command runs."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pytest_kdmem.base.progress import Progress
    from pytest_kdmem.scoring.store import ScoreStore
    from pytest_kdmem.specs.declared import TrainingSet
    from pytest_kdmem.specs.runtime import RunSettings

ModelSource = Annotated[str, typer.Argument(help="Folder or hub id.")]
DataSource = Annotated[str, typer.Argument(help="File, folder, hub id or preset.")]

TextColumn = Annotated[str, typer.Option(help="Column of the text.")]
Form = Annotated[str, typer.Option(help="How text became examples: documents or blocks.")]
Split = Annotated[str, typer.Option(help="Split of a hub data set or a saved DatasetDict.")]
Sample = Annotated[int | None, typer.Option(help="So many distinct examples, drawn at random.")]
Seed = Annotated[int, typer.Option(help="Of the sample.")]

PrefixTokens = Annotated[int, typer.Option(help="Tokens given to the model.")]
SuffixTokens = Annotated[int, typer.Option(help="Tokens expected from it.")]
WindowTokens = Annotated[int, typer.Option(help="Most tokens kept of an example.")]

Engine = Annotated[str, typer.Option(help="auto, transformers or vllm.")]
DType = Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
BatchSize = Annotated[int | None, typer.Option(help="Examples at once; found by itself if not given.")]
TensorParallel = Annotated[int, typer.Option(help="GPUs that share one model (vllm).")]
Executor = Annotated[str, typer.Option(help="Where models score: local, or ray for the workers of a cluster.")]
Workers = Annotated[int | None, typer.Option(help="Of ray; as many as there is room for if not given.")]
CpusPerWorker = Annotated[int, typer.Option(help="CPUs of a worker of ray that has no GPU.")]
Shard = Annotated[str | None, typer.Option("--shard", help="Score only the n-th of m parts, as 3/16, into the store.")]

Teacher = Annotated[str, typer.Option(help="Folder or hub id of the model to be distilled.")]
Baseline = Annotated[str, typer.Option(help="Folder or hub id of a model of the student's size, fine-tuned alone.")]
LabelsFrom = Annotated[
    str | None,
    typer.Option(
        help="What is known to be memorized: by an earlier student (folder or hub id), by its scores (.parquet), or by"
        " both teacher and baseline (both), as it is if not given."
    ),
]
PredictorFile = Annotated[
    Path | None, typer.Option("--predictor", help="Predictor that was fitted before (.json), instead of labels.")
]
RiskThreshold = Annotated[
    float | None,
    typer.Option("--threshold", help="Probability at which an example is at risk; one that finds 95% if not given."),
]

Features = Annotated[str, typer.Option(help="Of the prediction: study (the study's four) or all.")]

CacheDir = Annotated[Path, typer.Option(envvar="KDMEM_CACHE_DIR", help="Where scores are kept.")]
NoCache = Annotated[bool, typer.Option("--no-cache", help="Keep no scores beyond this run.")]
Offline = Annotated[bool, typer.Option("--offline", help="Never open a connection.")]
TrustRemoteCode = Annotated[
    bool, typer.Option("--trust-remote-code", help="Run modelling code that comes with a checkpoint.")
]


def run_settings(
    *,
    engine: str,
    dtype: str,
    device: str,
    batch_size: int | None,
    tensor_parallel: int,
    executor: str,
    workers: int | None,
    cpus_per_worker: int,
    shard: str | None,
    offline: bool,
) -> RunSettings:
    """How models are to be run.

    Raises:
        SpecError: an option is outside its choices.
    """
    from pytest_kdmem.specs.runtime import RunSettings, part_from

    return RunSettings(
        engine=engine,
        device=device,
        dtype=dtype,
        batch_size=batch_size,
        offline=offline,
        tensor_parallel=tensor_parallel,
        executor=executor,
        workers=workers,
        cpus_per_worker=cpus_per_worker,
        part=part_from(shard) if shard is not None else None,
    )


def training_set(
    source: str, *, text_column: str, form: str, split: str, sample: int | None = None, seed: int = 0
) -> TrainingSet:
    """What is scored or trained on.

    Raises:
        SpecError: an option is outside its choices.
    """
    from pytest_kdmem.specs.declared import TrainingSet

    return TrainingSet(
        source,
        text_column=text_column,
        split=split,
        form=form,  # type: ignore[arg-type]
        sample=sample,
        seed=seed,
    )


def check_outputs(outputs: Mapping[str, Path | None], inputs: Mapping[str, str | Path | None]) -> None:
    """Raise SpecError where something would be written over what is read."""
    from pytest_kdmem.errors import SpecError

    for flag, path in outputs.items():
        for name, source in inputs.items():
            if path is not None and source is not None and path.absolute() == Path(source).expanduser().absolute():
                raise SpecError(f"{flag} would write over {name}, {source}; name another path.")


def feature_names(features: str) -> tuple[str, ...]:
    """Names of a set of features.

    Raises:
        SpecError: there is no such set.
    """
    from pytest_kdmem.errors import SpecError
    from pytest_kdmem.risk.features import ALL, STUDY

    known = {"study": STUDY, "all": ALL}
    if features not in known:
        raise SpecError(f"--features must be one of {', '.join(known)}; found {features!r}.")
    return known[features]


def share(flag: str, text: str | None) -> float | None:
    """A share as it is written, ``0.5%`` or ``0.005``.

    Raises:
        SpecError: it is none.
    """
    from pytest_kdmem.errors import SpecError

    if text is None:
        return None
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 < value < 1:
        raise SpecError(f"{flag} must be a share between 0 and 1, such as 0.5% or 0.005; found {text!r}.")
    return value


@contextmanager
def score_store(cache_dir: Path, *, no_cache: bool) -> Iterator[ScoreStore]:
    """Where scores are kept, or a folder that goes with the command."""
    from pytest_kdmem.scoring.store import ScoreStore

    with tempfile.TemporaryDirectory(prefix="kdmem-") as scratch:
        yield ScoreStore(Path(scratch) if no_cache else cache_dir)


def progress() -> Progress:
    """A bar where a person looks on."""
    from pytest_kdmem.base.progress import NO_PROGRESS, Bar

    return Bar() if sys.stdout.isatty() else NO_PROGRESS
