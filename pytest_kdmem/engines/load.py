"""Which engine runs a model, opened: one at a time on a device."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from pytest_kdmem.engines.numerics import Numerics
from pytest_kdmem.engines.protocol import Engine
from pytest_kdmem.errors import EngineError
from pytest_kdmem.specs.checkpoint import Checkpoint, open_checkpoint
from pytest_kdmem.specs.declared import Extraction, Model
from pytest_kdmem.specs.runtime import RunSettings

if TYPE_CHECKING:
    from pytest_kdmem.engines.transformers.pair import PairedEngine

# A model, what is known of it, and how it is to be run.
Opened = tuple[Model, Checkpoint, Numerics]


def open_engine(
    model: Model, checkpoint: Checkpoint, numerics: Numerics, extraction: Extraction, settings: RunSettings
) -> Engine:
    """Load a model.

    Raises:
        EngineError: it cannot be loaded, or its files are no longer those of ``checkpoint``.
    """
    engine: Engine
    if numerics.engine == "vllm":
        from pytest_kdmem.engines.vllm.engine import VllmEngine

        engine = VllmEngine(
            model,
            checkpoint,
            numerics,
            longest_tokens=extraction.scored_tokens,
            batch_size=settings.batch_size,
            tensor_parallel=settings.tensor_parallel,
        )
    else:
        from pytest_kdmem.engines.transformers.engine import TransformersEngine

        engine = TransformersEngine(model, checkpoint, numerics, batch_size=settings.batch_size)
    with ExitStack() as loaded:
        loaded.callback(engine.close)
        _check_unchanged(model, checkpoint, settings)
        loaded.pop_all()
    return engine


def open_pair(teacher: Opened, baseline: Opened, settings: RunSettings, *, tokens: int | None) -> PairedEngine:
    """Load two models side by side, by the transformers engine.

    Args:
        tokens: the size of their tokenizer, None if they have none.

    Raises:
        EngineError: one cannot be loaded, or its files are no longer those of its checkpoint.
    """
    from pytest_kdmem.engines.transformers.engine import TransformersEngine
    from pytest_kdmem.engines.transformers.pair import PairedEngine

    with ExitStack() as loaded:
        engines = []
        for model, checkpoint, numerics in (teacher, baseline):
            engine = TransformersEngine(model, checkpoint, numerics, batch_size=settings.batch_size)
            loaded.callback(engine.close)
            engines.append(engine)
            _check_unchanged(model, checkpoint, settings)
        loaded.pop_all()
    return PairedEngine(engines[0], engines[1], tokens)


def _check_unchanged(model: Model, checkpoint: Checkpoint, settings: RunSettings) -> None:
    """Raise EngineError where what was loaded may be other weights than those digested."""
    if open_checkpoint(model, offline=settings.offline).digest != checkpoint.digest:
        raise EngineError(
            f"Model {model.source} was expected to stay as it is during an audit, and its files were changed while it"
            " was loaded; audit it again once it is saved."
        )


@contextmanager
def device_to_itself(device: str) -> Iterator[None]:
    """Held while a model is loaded: of several processes of one user, one has the device's memory and time.

    Jobs that were given different GPUs of a machine do not wait for each other.

    Raises:
        EngineError: where locks would lie, someone else has put something.
    """
    folder = _own_folder()
    place = hashlib.sha256(os.environ.get("CUDA_VISIBLE_DEVICES", "").encode()).hexdigest()[:8]
    with FileLock(folder / f"{device}-{place}.lock"):
        yield


def _own_folder() -> Path:
    """A folder for locks that no other user can write to."""
    user = os.getuid() if hasattr(os, "getuid") else 0
    folder = Path(tempfile.gettempdir()) / f"kdmem-{user}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        own = stat.S_ISDIR(found.st_mode) and found.st_uid == user and not found.st_mode & 0o022
    except OSError:
        own = False
    if not own:
        raise EngineError(
            f"A folder of this user's alone was expected for locks at {folder}, and it is none; remove it, or name"
            " another place for temporary files with TMPDIR."
        )
    return folder
