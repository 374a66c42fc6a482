"""`kdmem cache`: where scores are kept, how much is stored, and how it is removed."""

from __future__ import annotations

from pathlib import Path


def test_the_cache_folder_comes_from_the_option_or_else_the_environment(kdmem, tiny, data, monkeypatch):
    monkeypatch.setenv("KDMEM_CACHE_DIR", "from-environment")
    assert kdmem("score", tiny, data, "--out", "scores.parquet").code == 0
    assert "from-environment: 1 score shards" in kdmem("cache", "info").out
    assert kdmem("score", tiny, data, "--out", "scores.parquet", "--cache-dir", "from-option").code == 0
    assert "from-option: 1 score shards" in kdmem("cache", "info", "--cache-dir", "from-option").out
    assert not Path(".kdmem").exists()


def test_stored_scores_are_counted_and_removed(kdmem, tiny, data):
    assert ".kdmem: 0 score shards, 0 training sets, 0 confirmations, 0.0 MB" in kdmem("cache", "info").out
    assert kdmem("score", tiny, data, "--out", "scores.parquet").code == 0
    assert ".kdmem: 1 score shards, 1 training sets" in kdmem("cache", "info").out
    assert kdmem("cache", "prune", "--older-than-days", "1").out.startswith("0 files of scores")
    assert kdmem("cache", "prune").out.startswith("4 files of scores and 0 trained models removed from .kdmem")
    assert ".kdmem: 0 score shards, 0 training sets" in kdmem("cache", "info").out


def test_a_folder_that_cannot_be_written_is_one_sentence(kdmem, tiny, data):
    done = kdmem("score", tiny, data, "--out", "scores.parquet", "--cache-dir", "data.npy")
    assert done.code == 2
    assert "was expected for scores at data.npy" in done.err
    assert "cache-dir" in done.err
    assert not Path("scores.parquet").exists()
