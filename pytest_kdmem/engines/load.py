"""Loads models into engines, one at a time on a device, and refuses files that change meanwhile."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from filelock import FileLock

from pytest_kdmem.base.locks import acquire
from pytest_kdmem.engines.numerics import Numerics
from pytest_kdmem.engines.protocol import Engine, files_changed
from pytest_kdmem.engines.screened import ScreenedEngine
from pytest_kdmem.errors import EngineError
from pytest_kdmem.specs.checkpoint import Checkpoint, open_checkpoint
from pytest_kdmem.specs.declared import Extraction, Model
from pytest_kdmem.specs.runtime import RunSettings

if TYPE_CHECKING:
    from pytest_kdmem.engines.transformers.engine import TransformersEngine
    from pytest_kdmem.engines.transformers.pair import PairedEngine
    from pytest_kdmem.engines.transformers.screened_pair import ScreenedPair


class ModelToLoad(NamedTuple):
    """A model, its digested files, and how to run it."""

    model: Model
    checkpoint: Checkpoint
    numerics: Numerics


def open_engine(
    model: Model, checkpoint: Checkpoint, numerics: Numerics, extraction: Extraction, settings: RunSettings
) -> Engine:
    """Load a model into the engine that its numerics name, and into one that decides if they name a screening.

    Raises:
        EngineError: The model cannot be loaded, or its files are no longer those of ``checkpoint``.
    """
    with ExitStack() as on_error:
        engine: Engine
        if numerics.engine == "vllm":
            engine = _open_vllm(model, checkpoint, numerics, extraction, settings, on_error)
        else:
            screener, decider = _open_transformers(ModelToLoad(model, checkpoint, numerics), settings, on_error)
            engine = decider if screener is None else ScreenedEngine(screener, decider)
        _check_unchanged(model, checkpoint, settings)
        on_error.pop_all()
    return engine


def open_decider(to_load: ModelToLoad, settings: RunSettings) -> TransformersEngine:
    """Load a model into the transformers engine, in the one dtype that decides verdicts.

    Raises:
        EngineError: The model cannot be loaded, or its files are no longer those of its checkpoint.
    """
    with ExitStack() as on_error:
        decider = _open_decider(to_load, settings, on_error)
        _check_unchanged(to_load.model, to_load.checkpoint, settings)
        on_error.pop_all()
    return decider


def open_pair(
    teacher: ModelToLoad, baseline: ModelToLoad, settings: RunSettings, *, tokenizer_size: int | None
) -> PairedEngine | ScreenedPair:
    """Load two models side by side into the transformers engine.

    Args:
        teacher: The teacher.
        baseline: The baseline, of the same tokenizer.
        settings: How both are run.
        tokenizer_size: Number of tokens of their tokenizer, or None if they have none.

    Raises:
        EngineError: A model cannot be loaded, or its files are no longer those of its checkpoint.
    """
    from pytest_kdmem.engines.transformers.pair import PairedEngine
    from pytest_kdmem.engines.transformers.screened_pair import ScreenedPair

    with ExitStack() as on_error:
        screeners, deciders = [], []
        for to_load in (teacher, baseline):
            screener, decider = _open_transformers(to_load, settings, on_error)
            screeners.append(screener or decider)
            deciders.append(decider)
            _check_unchanged(to_load.model, to_load.checkpoint, settings)
        on_error.pop_all()
    decided = PairedEngine(deciders[0], deciders[1], tokenizer_size)
    if screeners == deciders:
        return decided
    return ScreenedPair(PairedEngine(screeners[0], screeners[1], tokenizer_size), decided)


def _open_transformers(
    to_load: ModelToLoad, settings: RunSettings, on_error: ExitStack
) -> tuple[TransformersEngine | None, TransformersEngine]:
    """The engine that screens, or None, and the one that decides, over the same weights."""
    decider = _open_decider(to_load, settings, on_error)
    screen = to_load.numerics.screen
    try:
        return (None if screen is None else decider.over_same_weights(screen)), decider
    except EngineError as error:
        warnings.warn(
            f"model {to_load.model.source} is scored in {to_load.numerics.dtype} alone: {error}", stacklevel=2
        )
        return None, decider


def _open_decider(to_load: ModelToLoad, settings: RunSettings, on_error: ExitStack) -> TransformersEngine:
    from pytest_kdmem.engines.transformers.compilation import Compilation
    from pytest_kdmem.engines.transformers.engine import TransformersEngine

    model, checkpoint, numerics = to_load
    compilation = None
    is_plain = checkpoint.quantization is None or checkpoint.quantization.is_dequantized
    if numerics.device == "cuda" and not settings.no_compile and is_plain:
        compilation = Compilation(lambda line: warnings.warn(f"model {model.source} {line}", stacklevel=2))
    decider = TransformersEngine(model, checkpoint, numerics, batch_size=settings.batch_size, compilation=compilation)
    on_error.callback(decider.close)
    return decider


def _open_vllm(
    model: Model,
    checkpoint: Checkpoint,
    numerics: Numerics,
    extraction: Extraction,
    settings: RunSettings,
    on_error: ExitStack,
) -> Engine:
    """vLLM, and the transformers engine to decide what vLLM screens."""
    from pytest_kdmem.engines.vllm.engine import VllmEngine

    decider = None
    if numerics.screen is not None:
        # It comes first, as vLLM takes what is left of the device's memory.
        decider = _open_decider(ModelToLoad(model, checkpoint, numerics), settings, on_error)
    engine = VllmEngine(
        model,
        checkpoint,
        numerics if numerics.screen is None else replace(numerics, dtype=numerics.screen),
        longest_tokens=extraction.window_tokens,  # the suffix of an answer may end at the end of the window
        batch_size=settings.batch_size,
        tensor_parallel=settings.tensor_parallel,
        memory_share=None if decider is None else decider.memory_left(),
    )
    on_error.callback(engine.close)
    _check_unchanged_bytes(model, checkpoint)
    return engine if decider is None else ScreenedEngine(engine, decider)


def _check_unchanged(model: Model, checkpoint: Checkpoint, settings: RunSettings) -> None:
    """Raise EngineError if the files of a model are others than before it was loaded.

    That the weights in memory are the digested ones is checked where they are loaded in this process.
    """
    if open_checkpoint(model, offline=settings.offline).digest != checkpoint.digest:
        raise files_changed(model.source)


def _check_unchanged_bytes(model: Model, checkpoint: Checkpoint) -> None:
    """Raise EngineError if weights that another process loaded may differ from the digested ones.

    They are read again, since not every write to a file leaves a time stamp.
    """
    if checkpoint.weights_digest_again() != checkpoint.weights_digest:
        raise files_changed(model.source)


@contextmanager
def device_to_itself(device: str, on_wait: Callable[[], object] | None = None) -> Iterator[None]:
    """Hold a device while a model is loaded, so that only one process of a user takes its memory and time.

    Processes with different CUDA_VISIBLE_DEVICES do not wait for each other.

    Args:
        device: Device to hold.
        on_wait: Called before this process waits for another one that holds the device.

    Raises:
        EngineError: The folder for locks cannot be made, or another user can write to it.
    """
    visible = hashlib.sha256(os.environ.get("CUDA_VISIBLE_DEVICES", "").encode()).hexdigest()[:8]
    lock = FileLock(_lock_folder() / f"{device}-{visible}.lock")
    acquire(lock, on_wait)
    try:
        yield
    finally:
        lock.release()


def _lock_folder() -> Path:
    """The folder for locks, which no other user can write to."""
    user = os.getuid() if hasattr(os, "getuid") else 0
    folder = Path(tempfile.gettempdir()) / f"kdmem-{user}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
        private = stat.S_ISDIR(status.st_mode) and status.st_uid == user and not status.st_mode & 0o022
    except OSError:
        private = False
    if not private:
        raise EngineError(
            f"A folder that only this user can write to was expected for locks at {folder}, and it is none; remove it,"
            " or name another place for temporary files with TMPDIR."
        )
    return folder
