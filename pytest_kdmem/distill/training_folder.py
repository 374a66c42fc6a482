"""The folder of a training that has not ended: what is needed to go on, bound to the settings it was begun with."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from pytest_kdmem.base.files import write_text
from pytest_kdmem.distill.checkpoints import latest_checkpoint, step_of
from pytest_kdmem.distill.process_group import ProcessGroup
from pytest_kdmem.errors import SpecError

RECORD, LOCK = "training.json", "lock"


@dataclass
class TrainingFolder:
    """Beside the model to be: checkpoints, rows, and a record of the stretches trained so far."""

    folder: Path
    processes: ProcessGroup
    record: dict[str, Any]
    _counted: float = 0.0

    @staticmethod
    @contextmanager
    def of(out: Path, run_digest: str, processes: ProcessGroup) -> Iterator[TrainingFolder]:
        """Open the folder that belongs to ``out``, or make it; one run at a time.

        Raises:
            SpecError: it was begun with other settings.
        """
        folder = out.with_name(f".{out.name}.training")
        with ExitStack() as stack:
            if processes.is_first:
                stack.callback(_locked(folder).release)
                check_out(out)  # another run may have ended while this one waited
                _begin(folder, run_digest)
            processes.wait()
            record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
            if record["run"] != run_digest:
                raise SpecError(
                    f"A training of the same recipe, models and data was expected in {folder}, which holds an"
                    " unfinished one of others; delete it, or name another --out."
                )
            processes.wait()
            yield TrainingFolder(folder, processes, record)

    def resumes_at(self, checkpoint: Path) -> int:
        """Note that the run goes on from a checkpoint; gives its step."""
        step = step_of(checkpoint)
        self.record["resumed_at"].append(step)
        self._write()
        return step

    def begin_stretch(self) -> None:
        """Count seconds from now on."""
        self._counted = time.monotonic()

    def note_seconds(self) -> None:
        """Add what went by since the last time."""
        now = time.monotonic()
        self.record["seconds"] += now - self._counted
        self._counted = now
        self._write()

    @property
    def seconds(self) -> float:
        """Of training, all stretches together; of one that was killed, up to its last checkpoint."""
        return float(self.record["seconds"])

    @property
    def resumed_at(self) -> tuple[int, ...]:
        return tuple(self.record["resumed_at"])

    def finished(self) -> None:
        """Remove it: the model stands in its place."""
        self.processes.first_only(lambda: shutil.rmtree(self.folder, ignore_errors=True))

    def _write(self) -> None:
        if self.processes.is_first:
            _write_record(self.folder, self.record)


def _locked(folder: Path) -> FileLock:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK)
        lock.acquire()
    except OSError as error:
        raise SpecError(
            f"A folder that can be written was expected for {folder}, and it cannot ({error.strerror}); choose another"
            " --out."
        ) from error
    return lock


def check_out(out: Path) -> None:
    """Raise SpecError where a trained model cannot be put."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise SpecError(
            f"An empty or new folder was expected for the trained model; {out} is a file or holds files already."
        )


def _begin(folder: Path, run_digest: str) -> None:
    """Note what is begun; another run that never came to a checkpoint makes room, since it has nothing to lose."""
    if (folder / RECORD).is_file():
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        if record["run"] == run_digest or latest_checkpoint(folder):
            return
        for path in folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != LOCK:
                path.unlink()
    _write_record(folder, {"run": run_digest, "resumed_at": [], "seconds": 0.0})


def _write_record(folder: Path, record: dict[str, Any]) -> None:
    write_text(json.dumps(record), folder / RECORD)
