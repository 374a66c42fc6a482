"""`kdmem merge`: what is taken from the stores of several parts, and whether the run is complete."""

from __future__ import annotations

import shutil


def test_a_complete_run_is_exit_code_0_and_its_scores_are_used(kdmem, tiny, data, scored, tmp_path):
    scored.rename(tmp_path / "part1")
    done = kdmem("merge", "part1", "--cache-dir", "merged")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("1 shards taken into merged, which had 0\n")
    assert "training set of 12 examples: 1 of 1 shards, complete" in done.out
    assert kdmem("merge", "part1", "--cache-dir", "merged").out.startswith("0 shards taken into merged, which had 1\n")
    assert kdmem("score", tiny, data, "--out", "scores.parquet", "--cache-dir", "merged").code == 0


def test_a_damaged_shard_is_exit_code_1(kdmem, scored, tmp_path):
    [shard] = scored.rglob("*.parquet")
    shard.write_bytes(shard.read_bytes()[:-1])
    done = kdmem("merge", scored, "--cache-dir", "merged")
    assert done.code == 1
    assert f"damaged and left out: {shard}; score that part again" in done.out


def test_without_its_training_set_a_run_cannot_be_called_complete(kdmem, scored):
    shutil.rmtree(scored / "corpora")
    done = kdmem("merge", scored, "--cache-dir", "merged")
    assert done.code == 1
    assert "1 shards; whether that is all is unknown" in done.out


def test_a_folder_without_scores_is_one_sentence(kdmem, tmp_path):
    (tmp_path / "empty").mkdir()
    done = kdmem("merge", tmp_path / "empty", "--cache-dir", "merged")
    assert done.code == 2
    assert f"A score store was expected at {tmp_path / 'empty'}" in done.err


def test_parts_in_an_object_store_are_to_be_copied_first(kdmem, tmp_path):
    done = kdmem("merge", "s3://bucket/part1", "part2")
    assert done.code == 2
    assert (
        "STORES must be a path on this machine, and not an address: copy the file here, and name the copy" in done.err
    )
    assert list(tmp_path.iterdir()) == []
