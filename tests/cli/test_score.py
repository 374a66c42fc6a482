"""`kdmem score`: the table it writes, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.chat import conversation, walk, with_template, write_rows
from tests.engines.transformers.any_adapter import KINDS, save_adapter
from tests.specs.model_folder import change_json

# The columns that users read, in this order.
COLUMNS = [
    ("example_id", "int64"),
    ("digest", "string"),
    ("status", "string"),
    ("memorized", "bool"),
    ("ambiguous", "bool"),
    ("margin", "float"),
    ("logprob", "float"),
    ("nll", "float"),
    ("entropy", "float"),
    ("first_miss", "int16"),
    ("zlib_bytes", "int32"),
    ("tokens", "int32"),
    ("suffix_at", "int32"),
    ("hits", "binary"),
    ("unsure", "binary"),
    ("min_k", "float"),
    ("min_k_plus", "float"),
    ("shortfall", "float"),
]


def test_the_table_has_a_row_per_example(kdmem, tiny, data):
    done = kdmem("score", tiny, data, "--out", "out/scores.parquet")
    assert (done.code, done.err, done.progress) == (0, "", f"kdmem: opening {tiny.name}\n")
    table = pq.read_table("out/scores.parquet")
    assert [(field.name, str(field.type)) for field in table.schema] == COLUMNS
    columns = table.to_pydict()
    assert columns["example_id"] == list(range(12))
    assert columns["status"] == ["scored"] * 12
    assert columns["memorized"] == [row % 2 == 0 for row in range(12)]
    assert columns["ambiguous"] == [False] * 12
    for memorized, margin, first_miss in zip(
        columns["memorized"], columns["margin"], columns["first_miss"], strict=True
    ):
        assert (margin > 0, first_miss == -1) == (memorized, memorized)
    assert len(set(columns["digest"])) == 12
    assert "memorization rate" in done.out
    assert "50.00%" in done.out
    assert "(6 of 12)" in done.out
    assert "12 rows in out/scores.parquet" in done.out


def test_turns_that_are_not_audited_are_counted(kdmem, cast, tmp_path):
    model = with_template(cast.student, tmp_path / "model")
    write_rows(tmp_path / "chat.jsonl", [conversation((walk(2, 3 + at, 12), walk(0, 12, 12))) for at in range(3)])
    arguments = ["score", model, "chat.jsonl", "--prefix-tokens=12", "--suffix-tokens=8", "--out=scores.parquet"]
    answers = kdmem(*arguments)
    assert (answers.code, answers.err) == (0, "")
    assert "3 turns of users, systems and tools not audited (--chat-roles=all audits them)" in answers.out
    everything = kdmem(*arguments, "--chat-roles=all")
    assert everything.code == 0
    assert "not audited" not in everything.out


@pytest.mark.parametrize("command", ["score", "confirm"])
def test_the_base_of_an_adapter_is_where_the_option_says(kdmem, tiny, data, tmp_path, command):
    adapter = save_adapter(tiny, KINDS["LoRA"][1], tmp_path / "adapter")
    change_json(adapter / "adapter_config.json", base_model_name_or_path="gone")
    arguments = [command, adapter, data, *(["--out", "scores.parquet"] if command == "score" else [])]
    assert "or an option --…-base" in kdmem(*arguments).err
    assert kdmem(*arguments, "--base", tiny).code == 0


def test_the_columns_are_those_that_transformers_gives(kdmem, tiny, data, rows):
    import torch
    from transformers import AutoModelForCausalLM

    assert kdmem("score", tiny, data, "--out", "scores.parquet").code == 0
    columns = pq.read_table("scores.parquet").to_pydict()
    ids = torch.from_numpy(rows.astype(np.int64))
    with torch.inference_mode():
        logits = AutoModelForCausalLM.from_pretrained(tiny).eval()(input_ids=ids).logits[:, :-1].double()
    log_probabilities = logits.log_softmax(dim=-1)
    of_targets = log_probabilities.gather(2, ids[:, 1:, None])[..., 0]
    entropies = -(log_probabilities.exp() * log_probabilities).sum(dim=-1)
    np.testing.assert_allclose(columns["logprob"], of_targets[:, 49:].sum(dim=1), rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(columns["nll"], -of_targets.mean(dim=1), rtol=1e-4)
    np.testing.assert_allclose(columns["entropy"], entropies[:, 49:].mean(dim=1), rtol=1e-3, atol=1e-5)


def test_short_examples_and_copies_are_counted(kdmem, tiny, rows, tmp_path):
    examples = [rows[0].tolist(), rows[1].tolist()[:99], rows[0].tolist(), rows[3].tolist()]
    pq.write_table(pa.table({"input_ids": examples}), tmp_path / "train.parquet")
    done = kdmem("score", tiny, "train.parquet", "--out", "scores.parquet")
    assert done.code == 0
    columns = pq.read_table("scores.parquet").to_pydict()
    assert columns["status"] == ["scored", "too_short", "scored", "scored"]
    assert columns["memorized"] == [True, None, True, False]
    assert columns["digest"][0] == columns["digest"][2]
    assert "(1 of 2; 1 row too short to be measured)" in done.out
    assert "warning" not in done.out
    pq.write_table(pa.table({"input_ids": [*examples, examples[1]]}), tmp_path / "train.parquet")
    done = kdmem("score", tiny, "train.parquet", "--out", "scores.parquet")
    assert "is too short to be looked at, and stands there up to 2 times" in done.out
    assert "with fewer --prefix-tokens and --suffix-tokens, of at least 20 each, reaches shorter" in done.out


def test_the_same_seed_draws_the_same_sample(kdmem, tiny, data):
    drawn = {}
    for seed in (1, 1, 2):
        done = kdmem("score", tiny, data, "--out", "scores.parquet", "--sample", "5", "--seed", str(seed))
        assert done.code == 0
        ids = pq.read_table("scores.parquet")["example_id"].to_pylist()
        assert len(set(ids)) == 5
        assert drawn.setdefault(seed, ids) == ids
        assert "of 5)" in done.out
    assert drawn[1] != drawn[2]


def test_other_lengths_are_obeyed(kdmem, tiny, data):
    done = kdmem("score", tiny, data, "--out", "s.parquet", "--prefix-tokens", "99", "--suffix-tokens", "1")
    assert done.code == 0
    assert pq.read_table("s.parquet")["memorized"].to_pylist()[::2] == [True] * 6


def test_a_confirmed_score_names_the_checks(kdmem, tiny, data):
    done = kdmem("score", tiny, data, "--out", "scores.parquet", "--confirm")
    assert done.code == 0
    first, *_ = done.out.splitlines()
    assert " confirmed by 2 checks (transformers scored and decoded): 12 examples, 0 ambiguous, no dis" in first
    assert "; tolerance claimed 2^-" in first


def test_a_part_is_scored_without_a_table(kdmem, tiny, data):
    for part in ("1/2", "2/2"):
        done = kdmem("score", tiny, data, "--shard", part)
        assert (done.code, done.err) == (0, "")
        assert done.out.startswith(f"Part {part} of {tiny} over {data} is scored")
    assert ": 1 score shards" in kdmem("cache", "info").out


@pytest.mark.parametrize("arguments", [["--out", "x.parquet"], ["--confirm"], ["--no-cache"]], ids=" ".join)
def test_a_part_has_no_table_and_is_not_confirmed(kdmem, tiny, data, arguments):
    done = kdmem("score", tiny, data, "--shard", "1/2", *arguments)
    assert done.code == 2
    assert "--shard scores a part into the cache" in done.err


@pytest.mark.parametrize("part", ["0/2", "3/2", "1", "a/b", ""])
def test_a_malformed_part_is_a_usage_error(kdmem, tiny, data, part):
    done = kdmem("score", tiny, data, "--shard", part)
    assert done.code == 2
    assert "shard must be of the form 3/16" in done.err


def test_no_cache_leaves_nothing(kdmem, tiny, data, tmp_path):
    assert kdmem("score", tiny, data, "--out", "scores.parquet", "--no-cache").code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.npy", "scores.parquet"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--engine", "tensorflow"], "engine must be one of auto, transformers"),
        (["--device", "toaster"], "device must be one of auto, cpu, cuda"),
        (["--dtype", "int8"], "dtype must be one of auto, float32, bfloat16, float16"),
        (["--form", "lines"], "must be one of documents, blocks"),
        (["--batch-size", "0"], "--batch-size must be a whole number of at least 1; found 0."),
        (["--sample", "0"], "--sample must be a whole number of at least 1; found 0."),
        (["--sample", "few"], "--sample"),
        (["--prefix-tokens", "0"], "--prefix-tokens must be a whole number of at least 1"),
        (["--window-tokens", "99"], "window-tokens must hold prefix and suffix (50 + 50 = 100)"),
        (["--no-such-option"], "--no-such-option"),
        (["--out", "scores.csv"], "--out must end in .parquet"),
        (["--executor", "slurm"], "executor must be one of local, ray"),
        (["--tensor-parallel", "0"], "--tensor-parallel must be a whole number of at least 1"),
        (["--workers", "0"], "--workers must be a whole number of at least 1"),
        (["--cpus-per-worker", "0"], "--cpus-per-worker must be a whole number of at least 1"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_option_is_a_usage_error_before_anything_is_written(kdmem, tiny, data, tmp_path, arguments, expected):
    done = kdmem("score", tiny, data, "--out", "scores.parquet", *arguments)
    assert done.code == 2
    assert expected in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["data.npy"]


def test_a_table_needs_a_path(kdmem, tiny, data, tmp_path):
    done = kdmem("score", tiny, data)
    assert done.code == 2
    assert "none is named; add --out scores.parquet, or --shard" in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["data.npy"]


def test_a_table_is_not_written_over_the_training_set(kdmem, tiny, rows, tmp_path):
    pq.write_table(pa.table({"input_ids": rows.tolist()}), tmp_path / "train.parquet")
    before = (tmp_path / "train.parquet").read_bytes()
    done = kdmem("score", tiny, "train.parquet", "--out", "train.parquet")
    assert done.code == 2
    assert "--out would overwrite the training set, train.parquet" in done.err
    assert (tmp_path / "train.parquet").read_bytes() == before


def test_a_path_that_cannot_be_written_is_one_sentence(kdmem, tiny, data):
    done = kdmem("score", tiny, data, "--out", "data.npy/scores.parquet")
    assert done.code == 2
    assert "data.npy/scores.parquet" in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_a_table_of_an_earlier_run_is_gone_if_the_command_fails_and_replaced_if_not(kdmem, tiny, data):
    Path("scores.parquet").write_text("of another run")
    assert kdmem("score", "no/such/model", data, "--out", "scores.parquet").code == 2
    assert not Path("scores.parquet").exists()
    Path("scores.parquet").write_text("of another run")
    assert kdmem("score", tiny, data, "--out", "scores.parquet").code == 0
    assert len(pq.read_table("scores.parquet")) == 12


def test_a_table_in_an_object_store_is_that_of_a_disk(kdmem, tiny, data, bucket):
    assert kdmem("score", tiny, data, "--out", "scores.parquet").code == 0
    done = kdmem("score", tiny, data, "--out", "s3://results/scores.parquet")
    assert (done.code, done.err) == (0, "")
    assert "12 rows in s3://results/scores.parquet" in done.out
    assert bucket["scores.parquet"] == Path("scores.parquet").read_bytes()


def test_a_table_of_an_earlier_run_in_an_object_store_is_gone_if_the_command_fails(kdmem, tiny, data, bucket):
    bucket["scores.parquet"] = b"of another run"
    assert kdmem("score", "no/such/model", data, "--out", "s3://results/scores.parquet").code == 2
    assert bucket.files == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "s3://no-such-bucket/scores.parquet"], "A file was to be written at s3://no-such-bucket/scores"),
        (["--out", "s3://results/scores.csv"], "--out must end in .parquet; found s3://results/scores.csv"),
        (["--out", "s3://results/scores.parquet", "--offline"], "--offline forbids writing there"),
        (
            ["--out", "scores.parquet", "--cache-dir", "s3://results/scores"],
            "--cache-dir must be a path on this machine",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_wrong_with_an_address_is_told_before_anything_is_scored(
    kdmem, tiny, data, tmp_path, bucket, arguments, message
):
    done = kdmem("score", tiny, data, *arguments)
    assert done.code == 2
    assert message in done.err
    assert len(done.err.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["data.npy"]
