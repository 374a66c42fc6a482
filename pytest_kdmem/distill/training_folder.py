"""The folder of an unfinished training: all that is needed to go on, bound to the job that it was begun for."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from filelock import FileLock

from pytest_kdmem.base.files import write_text
from pytest_kdmem.distill.cache_folders import LOCK_FILE
from pytest_kdmem.distill.checkpoints import checkpoint_step, latest_checkpoint
from pytest_kdmem.distill.output_folder import check_output_folder
from pytest_kdmem.distill.process_group import ProcessGroup
from pytest_kdmem.errors import Interrupted, KdmemError, SpecError

RECORD_FILE = "training.json"


@dataclass
class TrainingFolder:
    """A folder beside the model to be: checkpoints, rows, and a record of the run.

    Args:
        path: The folder.
        processes: The processes that use it; the first one writes.
        record: ``run`` is the digest of the job, ``seconds`` the time trained so far, ``resumed_at`` the steps at
            which training was resumed, ``settings`` what the job's digest is made of; earlier records have none.
    """

    path: Path
    processes: ProcessGroup
    record: dict[str, Any]
    _counted_until: float = 0.0

    @staticmethod
    @contextmanager
    def open(
        out: Path,
        job_digest: str,
        processes: ProcessGroup,
        parent: Path | None = None,
        settings: Mapping[str, str] | None = None,
    ) -> Iterator[TrainingFolder]:
        """Lock the folder that belongs to the model folder ``out``, and create it if it is missing.

        Args:
            out: Folder of the model to be.
            job_digest: Digest of the job.
            processes: The processes that use the folder.
            parent: Folder that the folder is in; that of ``out`` if None.
            settings: What the digest is made of, by name, to tell what differs in another job; None tells nothing.

        Raises:
            SpecError: The folder holds a checkpoint of another job, or cannot be written; or ``out`` holds files.
        """
        path = (parent or out.parent) / f".{out.name}.training"
        with ExitStack() as stack:
            if processes.is_first:
                stack.callback(_acquire_lock(path).release)
                stack.push(partial(_remove_if_refused, path))
                check_output_folder(out)  # again, because another run may have ended while this one waited
                _begin_record(path, job_digest, settings or {})
            processes.wait()
            record = json.loads((path / RECORD_FILE).read_text(encoding="utf-8"))
            if record["run"] != job_digest:
                raise SpecError(
                    f"A training of the same recipe, models and data was expected in {path}, which holds an unfinished"
                    f" training of others{_differences(record.get('settings', {}), settings or {})}; set the same to"
                    " go on with it, delete it, or choose another --out."
                )
            processes.wait()
            yield TrainingFolder(path, processes, record)

    def record_resumption(self, checkpoint: Path) -> int:
        """Record that training resumes at a checkpoint, and return its step.

        Raises:
            DataError: The checkpoint is damaged.
        """
        step = checkpoint_step(checkpoint)
        self.record["resumed_at"].append(step)
        self._write()
        return step

    def start_clock(self) -> None:
        """Begin to count training time."""
        self._counted_until = time.monotonic()

    def add_elapsed_seconds(self) -> None:
        """Record the training time since the last call."""
        now = time.monotonic()
        self.record["seconds"] += now - self._counted_until
        self._counted_until = now
        self._write()

    @property
    def seconds(self) -> float:
        """Recorded training time of all resumed runs together; of a killed run, up to its last checkpoint."""
        return float(self.record["seconds"])

    @property
    def resumed_at(self) -> tuple[int, ...]:
        """Steps at which training was resumed."""
        return tuple(self.record["resumed_at"])

    def remove(self) -> None:
        """Delete the folder, once the trained model is written."""
        self.processes.run_on_first(lambda: shutil.rmtree(self.path, ignore_errors=True))

    def _write(self) -> None:
        if self.processes.is_first:
            _write_record(self.path, self.record)


def _remove_if_refused(path: Path, _kind: object, error: BaseException | None, _traceback: object) -> None:
    """Delete the folder of a training that was refused before its first checkpoint: it holds nothing to go on from."""
    is_refused = isinstance(error, KdmemError) and not isinstance(error, Interrupted)
    if is_refused and latest_checkpoint(path) is None:
        shutil.rmtree(path, ignore_errors=True)


def _acquire_lock(path: Path) -> FileLock:
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path / LOCK_FILE)
        lock.acquire()
    except OSError as error:
        raise SpecError(
            f"A folder that can be written was expected for {path}, and it cannot ({error.strerror}); choose another"
            " --out."
        ) from error
    return lock


def _differences(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """The settings of which an unfinished training had others, in words; empty if it does not tell."""
    if not before or not now:
        return ""
    names = [name for name in now if before.get(name) != now[name]]
    changes = [f"{name} was {before.get(name, 'not set')}, and is {now[name]} now" for name in names]
    return f": {'; '.join(changes)}" * bool(changes)


def _begin_record(path: Path, job_digest: str, settings: Mapping[str, str]) -> None:
    """Write a new record, unless there is one of this job; what a job without a checkpoint left is deleted first."""
    if (path / RECORD_FILE).is_file():
        record = json.loads((path / RECORD_FILE).read_text(encoding="utf-8"))
        if record["run"] == job_digest or latest_checkpoint(path):
            return
        for child in path.iterdir():
            if child.is_dir():
                shutil.rmtree(child)
            elif child.name != LOCK_FILE:
                child.unlink()
    kept_settings = {"settings": dict(settings)} if settings else {}
    _write_record(path, {"run": job_digest, "resumed_at": [], "seconds": 0.0} | kept_settings)


def _write_record(path: Path, record: dict[str, Any]) -> None:
    write_text(json.dumps(record), path / RECORD_FILE)
