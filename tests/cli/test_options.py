"""What the groups of settings make of their values."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_kdmem.cli.options import (
    EngineOptions,
    ExampleOptions,
    LoadingOptions,
    RunOptions,
    SampledExampleOptions,
    StoreOptions,
    check_outputs,
)
from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.runtime import Part, RunSettings

RUN = {
    "offline": True, "trust_remote_code": True, "dtype": "bfloat16", "device": "cpu", "batch_size": 3,
    "executor": "ray", "workers": 4, "cpus_per_worker": 5,
    "accept_reading": "documents", "screen_dtype": "none", "no_compile": True,
}  # fmt: skip


def test_examples_are_read_as_the_options_say():
    read = {"text_column": "body", "form": "blocks", "eos": "never", "add_special_tokens": True, "tokenizer": "file"}
    read |= {"eos_id": 3, "order": "x_shuffle_idx.npy"}
    read |= {
        "chat_columns": "messages=turns",
        "chat_turns": 2,
        "chat_roles": "all",
        "answer_tokens": 9,
        "chat_template": "a.jinja",
    }
    options = ExampleOptions(split="test", extraction=Extraction(8, 9, 30), token_dtype="uint16", **read)
    assert options.training_set("x.bin") == TrainingSet("x.bin", split="test", dtype="uint16", **read)


def test_a_sample_is_drawn_where_the_command_takes_one():
    read = {"text_column": "body", "form": "blocks", "eos": None, "add_special_tokens": None, "tokenizer": None}
    none = dict.fromkeys(("token_dtype", "eos_id", "order"))
    none |= dict.fromkeys(("chat_columns", "chat_turns", "chat_roles", "answer_tokens", "chat_template"))
    options = SampledExampleOptions(extraction=Extraction(), sample=7, seed=3, **read, **none)
    expected = TrainingSet("x.jsonl", sample=7, seed=3, **read)
    assert options.training_set("x.jsonl") == expected


def test_a_model_is_loaded_as_the_options_say():
    loading = LoadingOptions(offline=True, trust_remote_code=True)
    assert loading.model("m") == Model("m", trust_remote_code=True)
    assert loading.model("m", "b") == Model("m", trust_remote_code=True, base="b")


def test_every_option_of_a_run_arrives():
    expected = RunSettings(
        engine="transformers", dtype="bfloat16", device="cpu", batch_size=3, offline=True, executor="ray", workers=4,
        cpus_per_worker=5, part=Part(2, 3), accept_reading="documents", screen_dtype="none", no_compile=True,
    )  # fmt: skip
    assert RunOptions(**RUN).settings("2/3") == expected
    assert RunOptions(**RUN).settings().part is None


def test_every_option_of_an_engine_arrives():
    settings = EngineOptions(**RUN, engine="vllm", tensor_parallel=2).settings("2/3")
    assert (settings.engine, settings.tensor_parallel, settings.workers) == ("vllm", 2, 4)
    assert settings.part == Part(2, 3)


def test_scores_are_kept_in_the_cache_folder(tmp_path):
    with StoreOptions(cache_dir=tmp_path / "cache", no_cache=False).opened() as store:
        assert Path(store.info().root) == tmp_path / "cache"


def test_without_a_cache_the_store_goes_with_the_command(tmp_path):
    with StoreOptions(cache_dir=tmp_path / "cache", no_cache=True).opened() as store:
        folder = Path(store.info().root)
        assert folder.is_dir()
        assert folder != tmp_path / "cache"
    assert not folder.exists()


@pytest.mark.parametrize("source", ["data.npy", "./data.npy", "~/data.npy"])
def test_an_output_over_an_input_is_refused(tmp_path, monkeypatch, source):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    check_outputs({"--out": Path("other.npy")}, {"the training set": source})
    with pytest.raises(SpecError, match=rf"^--out would overwrite the training set, {source}; name another path\.$"):
        check_outputs({"--save": None, "--out": Path("data.npy")}, {"the labels": None, "the training set": source})


@pytest.mark.parametrize(
    ("output", "source"),
    [
        ("s3://bucket/set.parquet", "s3://bucket/set.parquet"),
        ("s3://bucket/set.parquet?region=eu-west-1", "s3://bucket/set.parquet"),
        ("s3://bucket/set/scores.parquet", "s3://bucket/set/"),
        ("s3://bucket/set/scores.parquet", "s3://bucket/set/*.parquet"),
        ("file:///data/scores.parquet", "file:///data"),
        ("/data/set.parquet", "file:///data/set.parquet"),
        ("file:///data/set.parquet", "/data/set.parquet"),
    ],
)
def test_an_output_in_an_address_that_is_read_is_refused(output, source):
    """A table that lies in the training set's folder would be read as a part of it in the next run."""
    others = ("s3://bucket/set-2.parquet", "s3://other/set.parquet", "file:///set.parquet", "set.parquet")
    check_outputs({other: other for other in others}, {"the training set": source})
    with pytest.raises(SpecError, match=r"^--out would overwrite the training set, .*; name another path\.$"):
        check_outputs({"--out": output}, {"the training set": source})
