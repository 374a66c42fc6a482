"""What trainings keep is counted and removed, and text lies beside the cache instead of inside of it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from filelock import FileLock

from pytest_kdmem.distill.cache_folders import (
    LOCK_FILE,
    cached_models,
    cached_texts,
    make_text_folder,
    prune_models,
    prune_texts,
    text_folder,
)
from pytest_kdmem.distill.recipe import Recipe
from pytest_kdmem.distill.run import distill_once
from pytest_kdmem.errors import TrainingInterrupted
from pytest_kdmem.specs.declared import Extraction, TrainingSet


def write(path: Path, content: str = "12345", *, age_days: float = 0.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    written = path.stat().st_mtime - 86_400 * age_days
    os.utime(path, (written, written))
    return path


def test_the_folder_of_text_lies_beside_the_cache(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert text_folder(Path(".kdmem")) == tmp_path / ".kdmem-text"
    assert text_folder(Path()) == tmp_path.parent / f"{tmp_path.name}-text"
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "cache")
    assert text_folder(tmp_path / "link") == tmp_path / "disk" / "cache-text"


def test_its_owner_alone_reads_it_and_git_does_not_take_it(tmp_path):
    folder = make_text_folder(tmp_path / "cache")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert (folder / ".gitignore").read_text() == "*\n"


def test_folders_are_counted_where_earlier_versions_kept_them_too(tmp_path):
    cache = tmp_path / "cache"
    write(cache / "models" / "soft-1" / "model.safetensors")
    write(cache / "models" / ".soft-2.training" / "examples" / "000000.arrow")
    write(cache / "models" / ".lock", "")
    write(cache / "teachers" / "text-1" / "000000.arrow")
    write(tmp_path / "cache-text" / "teachers" / "text-2" / "000000.arrow")
    write(tmp_path / "cache-text" / "trainings" / ".soft-3.training" / "000000.arrow")
    assert (cached_models(cache).count, cached_models(cache).size_bytes) == (1, 5)
    assert (cached_texts(cache).count, cached_texts(cache).size_bytes) == (4, 20)
    assert prune_texts(cache, older_than_days=0) == 4
    assert prune_models(cache, older_than_days=0) == 1
    assert (cached_models(cache).count, cached_texts(cache).count) == (0, 0)
    assert list(tmp_path.rglob("*.arrow")) == []


def test_what_is_newer_is_kept_by_its_newest_file(tmp_path):
    cache = tmp_path / "cache"
    write(cache / "models" / "old" / "model.safetensors", age_days=3)
    write(cache / "models" / "used" / "model.safetensors", age_days=3)
    write(cache / "models" / "used" / "kdmem_run.json", age_days=1)
    assert prune_models(cache, older_than_days=2) == 1
    assert [folder.name for folder in (cache / "models").iterdir()] == ["used"]


def test_the_folder_of_a_training_that_runs_is_kept(tmp_path):
    folder = tmp_path / "cache-text" / "trainings" / ".soft.training"
    write(folder / "000000.arrow")
    with FileLock(folder / LOCK_FILE):
        assert prune_texts(tmp_path / "cache", older_than_days=0) == 0
    assert prune_texts(tmp_path / "cache", older_than_days=0) == 1


def test_an_empty_cache_holds_nothing(tmp_path):
    assert (cached_models(tmp_path / "cache").count, cached_texts(tmp_path / "cache").count) == (0, 0)
    assert (
        prune_models(tmp_path / "cache", older_than_days=0) == prune_texts(tmp_path / "cache", older_than_days=0) == 0
    )


def test_no_row_of_a_training_lies_in_the_cache_that_ci_keeps(init, teacher, rows, tmp_path, sigterm_at):
    cache = tmp_path / "cache"
    recipe = Recipe(mode="hard", epochs=1, learning_rate=1e-2, batch_size=8, precision="float32")
    arguments = {
        **{"init": init, "teacher": teacher, "training_set": TrainingSet(str(rows))},
        **{"extraction": Extraction(8, 8, 24), "models_dir": cache / "models", "cache_dir": cache},
    }
    with pytest.raises(TrainingInterrupted):
        distill_once(recipe, **arguments, progress=sigterm_at(1))
    assert list(cache.rglob("*.arrow")) == []
    assert len(list((tmp_path / "cache-text" / "teachers").iterdir())) == 1
    assert len(list((tmp_path / "cache-text" / "trainings").iterdir())) == 1
    model = distill_once(recipe, **arguments)
    assert list((tmp_path / "cache-text" / "trainings").iterdir()) == []
    assert Path(model.source).parent == cache / "models"
