"""What trainings keep in a cache: trained models inside of it, and whatever holds text in a folder beside it.

CI systems are told to keep the cache folder from one run to the next, often where other people can read it.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from pytest_kdmem.base.files import make_folder

MODELS, TEACHERS, UNFINISHED = "models", "teachers", "trainings"
LOCK_FILE = "lock"  # in the folder of an unfinished training


@dataclass(frozen=True)
class CachedFolders:
    """Folders of one kind in a cache.

    Attributes:
        count: Number of folders.
        size_bytes: Size of all their files.
    """

    count: int
    size_bytes: int


def models_folder(cache_dir: Path) -> Path:
    """The folder of trained models in a cache."""
    return cache_dir / MODELS


def text_folder(cache_dir: Path) -> Path:
    """The folder that belongs to a cache and holds text as token ids; it lies beside the cache, not inside of it."""
    real = cache_dir.resolve()
    return real.parent / f"{real.name}-text"


def make_text_folder(cache_dir: Path) -> Path:
    """Make the folder of text, which its owner alone can read and no version control takes."""
    folder = text_folder(cache_dir)
    make_folder(folder, private=True)
    ignored = folder / ".gitignore"
    if not ignored.exists():
        ignored.write_text("*\n", encoding="ascii")
    return folder


def cached_models(cache_dir: Path) -> CachedFolders:
    """Count the trained models of a cache."""
    return _counted(_models(cache_dir))


def cached_texts(cache_dir: Path) -> CachedFolders:
    """Count the folders that hold what teachers wrote or scored, and rows of unfinished trainings."""
    return _counted(_texts(cache_dir))


def prune_models(cache_dir: Path, *, older_than_days: float) -> int:
    """Remove trained models by the age of their newest file in days, and return their number."""
    return _pruned(_models(cache_dir), older_than_days)


def prune_texts(cache_dir: Path, *, older_than_days: float) -> int:
    """Remove folders of text by the age of their newest file in days, and return their number.

    The folder of a training that runs is kept.
    """
    return _pruned(_texts(cache_dir), older_than_days)


def _models(cache_dir: Path) -> Iterator[Path]:
    return (folder for folder in _folders(models_folder(cache_dir)) if not folder.name.startswith("."))


def _texts(cache_dir: Path) -> Iterator[Path]:
    text = text_folder(cache_dir)
    yield from _folders(text / TEACHERS)
    yield from _folders(text / UNFINISHED)
    # Earlier versions kept both inside of the cache.
    yield from _folders(cache_dir / TEACHERS)
    yield from (folder for folder in _folders(models_folder(cache_dir)) if folder.name.startswith("."))


def _folders(parent: Path) -> Iterator[Path]:
    if parent.is_dir():
        yield from sorted(folder for folder in parent.iterdir() if folder.is_dir() and not folder.is_symlink())


def _files(folder: Path) -> Iterator[os.stat_result]:
    for path in folder.rglob("*"):
        try:
            if path.is_file():
                yield path.stat()
        except FileNotFoundError:  # removed since it was listed
            continue


def _counted(folders: Iterator[Path]) -> CachedFolders:
    sizes = [sum(status.st_size for status in _files(folder)) for folder in folders]
    return CachedFolders(len(sizes), sum(sizes))


def _pruned(folders: Iterator[Path], older_than_days: float) -> int:
    old = [folder for folder in folders if _age_days(folder) >= older_than_days and not _is_in_use(folder)]
    for folder in old:
        shutil.rmtree(folder, ignore_errors=True)
    return sum(not folder.exists() for folder in old)


def _age_days(folder: Path) -> float:
    newest = max((status.st_mtime for status in _files(folder)), default=folder.stat().st_mtime)
    return (time.time() - newest) / 86_400


def _is_in_use(folder: Path) -> bool:
    """Whether a training runs in the folder of an unfinished one."""
    if not (folder / LOCK_FILE).is_file():
        return False
    lock = FileLock(folder / LOCK_FILE)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    lock.release()
    return False
