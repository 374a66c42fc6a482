"""Groups of settings that several commands take, with the values that are made of them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pytest_kdmem.base.addresses import Place, file_place, is_address
from pytest_kdmem.base.paths import local_path
from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.declared import (
    DType,
    Extraction,
    Model,
    TrainingSet,
)
from pytest_kdmem.specs.reading_kinds import ChatRoles, EndOfDocument, Form, Reading, TokenDType
from pytest_kdmem.specs.runtime import RunSettings, parse_part

if TYPE_CHECKING:
    from pytest_kdmem.scoring.store import ScoreStore


# The base of a model that a command takes under a name of its own.
Base = Annotated[
    str | None,
    typer.Option(help="Folder or hub id of the base of an adapter, if it is not the one that the adapter names."),
]


@dataclass(frozen=True, kw_only=True)
class ExampleOptions:
    """How a training set is cut into examples."""

    split: Annotated[str, typer.Option(help="Split of a hub dataset or of a saved DatasetDict.")] = "train"
    text_column: str
    form: Form
    eos: EndOfDocument | None
    add_special_tokens: bool | None
    tokenizer: Reading | None
    token_dtype: TokenDType | None
    eos_id: int | None
    order: str | None
    chat_columns: str | None
    chat_turns: int | None
    chat_roles: ChatRoles | None
    answer_tokens: int | None
    chat_template: str | None
    extraction: Extraction

    def training_set(self, source: str) -> TrainingSet:
        """Return the training set at ``source``, read as these options say."""
        return TrainingSet(
            source,
            text_column=self.text_column,
            split=self.split,
            form=self.form,
            eos=self.eos,
            add_special_tokens=self.add_special_tokens,
            tokenizer=self.tokenizer,
            dtype=self.token_dtype,
            eos_id=self.eos_id,
            order=self.order,
            chat_columns=self.chat_columns,
            chat_turns=self.chat_turns,
            chat_roles=self.chat_roles,
            answer_tokens=self.answer_tokens,
            chat_template=self.chat_template,
        )


@dataclass(frozen=True, kw_only=True)
class SampledExampleOptions(ExampleOptions):
    """How a training set is cut into examples, and how many of them are drawn."""

    sample: int | None
    seed: int

    def training_set(self, source: str) -> TrainingSet:
        return replace(super().training_set(source), sample=self.sample, seed=self.seed)


@dataclass(frozen=True, kw_only=True)
class LoadingOptions:
    """How models are loaded."""

    offline: bool
    trust_remote_code: bool

    def model(self, source: str, base: str | None = None) -> Model:
        """Return the model at ``source``, a folder or hub id; ``base`` is that of an adapter."""
        return Model(source, trust_remote_code=self.trust_remote_code, base=base)


@dataclass(frozen=True, kw_only=True)
class RunOptions(LoadingOptions):
    """How models are loaded and run by the transformers engine."""

    dtype: DType
    screen_dtype: str
    device: str
    batch_size: int | None
    executor: str
    workers: int | None
    cpus_per_worker: int
    no_compile: bool
    accept_reading: str | None

    def settings(self, shard: str | None = None, *, dry_run: bool = False) -> RunSettings:
        """Return how models are run.

        Args:
            shard: Part of the run to score, such as ``3/16``; all of it if None.
            dry_run: Run a few batches only, and tell what the whole would take.
        """
        return RunSettings(
            engine="transformers",
            dtype=self.dtype,
            screen_dtype=self.screen_dtype,
            device=self.device,
            batch_size=self.batch_size,
            offline=self.offline,
            executor=self.executor,
            workers=self.workers,
            cpus_per_worker=self.cpus_per_worker,
            no_compile=self.no_compile,
            part=parse_part(shard) if shard is not None else None,
            accept_reading=self.accept_reading,
            dry_run=dry_run,
        )


@dataclass(frozen=True, kw_only=True)
class EngineOptions(RunOptions):
    """How models are loaded and run, by either engine."""

    engine: str
    tensor_parallel: int

    def settings(self, shard: str | None = None, *, dry_run: bool = False) -> RunSettings:
        return replace(
            super().settings(shard, dry_run=dry_run), engine=self.engine, tensor_parallel=self.tensor_parallel
        )


@dataclass(frozen=True, kw_only=True)
class StoreOptions:
    """Where scores are kept."""

    cache_dir: Path
    no_cache: bool

    @contextmanager
    def opened(self) -> Iterator[ScoreStore]:
        """Open the score store; with ``no_cache`` it lies in a temporary folder."""
        from pytest_kdmem.scoring.store import ScoreStore

        with tempfile.TemporaryDirectory(prefix="kdmem-") as scratch:
            yield ScoreStore(Path(scratch) if self.no_cache else self.cache_dir)


def check_outputs(outputs: Mapping[str, Place | None], inputs: Mapping[str, Place | None]) -> None:
    """Refuse to write over a file that the command reads.

    Args:
        outputs: Paths or addresses to be written, by flag.
        inputs: Paths or addresses to be read, by the words that an error calls them.

    Raises:
        SpecError: An output is one of the inputs, or lies in one of them.
    """
    for flag, output in outputs.items():
        for name, source in inputs.items():
            if output is not None and source is not None and _is_in(file_place(output), source):
                raise SpecError(f"{flag} would overwrite {name}, {source}; name another path.")


def _is_in(output: Place, source: Place) -> bool:
    """Whether a file is what a source names: its file or, of an address, one in its folder or of its pattern."""
    if not is_address(source):
        return isinstance(output, Path) and output.absolute() == local_path(str(source)).absolute()
    pattern = str(source).partition("?")[0].rstrip("/")
    file = f"file://{output.absolute()}" if isinstance(output, Path) else output.partition("?")[0]
    return fnmatchcase(file, pattern) or file.startswith(f"{pattern}/")
