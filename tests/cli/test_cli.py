"""The command `kdmem`, run in this process: its tables, its exit codes, its words."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow.parquet as pq
import pytest

# What users read, in this order.
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
]


class Outcome(NamedTuple):
    code: int | str | None
    out: str
    err: str


@pytest.fixture
def kdmem(tmp_path, monkeypatch, capsys) -> Callable[..., Outcome]:
    """Runs a command in a folder of its own."""
    from pytest_kdmem.cli import main

    for name in [name for name in os.environ if name.startswith("KDMEM_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str | Path) -> Outcome:
        with pytest.raises(SystemExit) as exit:
            main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        assert "Traceback" not in said.out + said.err
        return Outcome(exit.value.code, said.out, said.err)

    return run


@pytest.fixture(autouse=True)
def _one_thread():
    """For a model this small more threads only wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def rows(tiny, recited_ids) -> np.ndarray:
    """[12, 100]: the even rows are the model's own words."""
    return recited_ids(tiny)


@pytest.fixture
def data(rows, tmp_path) -> Path:
    np.save(tmp_path / "data.npy", rows)
    return tmp_path / "data.npy"


def test_score_writes_a_row_per_example(kdmem, tiny, data, rows):
    done = kdmem("score", tiny, data, "--out", "out/scores.parquet")
    assert (done.code, done.err) == (0, "")
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


def test_score_gives_the_figures_of_transformers(kdmem, tiny, data, rows):
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


def test_score_counts_the_short_and_the_copies(kdmem, tiny, rows, tmp_path):
    import pyarrow as pa

    examples = [rows[0].tolist(), rows[1].tolist()[:99], rows[0].tolist(), rows[3].tolist()]
    pq.write_table(pa.table({"input_ids": examples}), tmp_path / "train.parquet")
    done = kdmem("score", tiny, "train.parquet", "--out", "scores.parquet")
    assert done.code == 0
    columns = pq.read_table("scores.parquet").to_pydict()
    assert columns["status"] == ["scored", "too_short", "scored", "scored"]
    assert columns["memorized"] == [True, None, True, False]
    assert columns["digest"][0] == columns["digest"][2]
    assert "(1 of 2)" in done.out
    assert "1 too short" in done.out


def test_score_samples_the_same_rows_for_the_same_seed(kdmem, tiny, data):
    drawn = {}
    for seed in (1, 1, 2):
        done = kdmem("score", tiny, data, "--out", "scores.parquet", "--sample", "5", "--seed", str(seed))
        assert done.code == 0
        ids = pq.read_table("scores.parquet")["example_id"].to_pylist()
        assert len(set(ids)) == 5
        assert drawn.setdefault(seed, ids) == ids
        assert "of 5)" in done.out
    assert drawn[1] != drawn[2]


def test_shorter_lengths_are_obeyed(kdmem, tiny, data, rows):
    done = kdmem("score", tiny, data, "--out", "s.parquet", "--prefix-tokens", "99", "--suffix-tokens", "1")
    assert done.code == 0
    assert pq.read_table("s.parquet")["memorized"].to_pylist()[::2] == [True] * 6


def test_score_with_confirm_tells_who_was_asked(kdmem, tiny, data):
    done = kdmem("score", tiny, data, "--out", "scores.parquet", "--confirm")
    assert done.code == 0
    first, *_ = done.out.splitlines()
    assert " confirmed by 2 witnesses (transformers scored and decoded): 12 examples, 0 ambiguous, no dis" in first
    assert "; tolerance claimed 2^-" in first


def test_confirm_finds_a_forged_verdict(kdmem, tiny, data):
    """A store that lies is caught: the verdict of one row is turned, and decoding turns it back."""
    import hashlib

    import pyarrow as pa

    assert kdmem("score", tiny, data, "--out", "scores.parquet").code == 0
    [shard] = Path(".kdmem").rglob("*.parquet")
    table = pq.read_table(shard)
    forged = pa.array([False, *table["memorized"].to_pylist()[1:]])
    table = table.set_column(table.schema.get_field_index("memorized"), "memorized", forged)
    shard.unlink()
    pq.write_table(table, shard)
    checksum = hashlib.sha256(shard.read_bytes()).hexdigest()[:16]
    shard.rename(shard.with_name(f"{shard.name.split('.')[0]}.{checksum}.parquet"))
    Path("scores.parquet").unlink()
    done = kdmem("score", tiny, data, "--out", "scores.parquet", "--confirm")
    assert done.code == 2
    assert "transformers scored differs on 1 of 12 examples (first: example 0" in done.err
    assert not Path("scores.parquet").exists()
    shown = kdmem("confirm", tiny, data)
    assert shown.code == 1
    assert "transformers decoded       12       11         1                 1" in shown.out
    assert "example 0, margin" in shown.out


class _Wrong:
    """An engine whose decoding is wrong on every example."""

    def __init__(self, engine):
        self._engine = engine

    def __getattr__(self, name):
        return getattr(self._engine, name)

    def decode(self, prefixes, new_tokens):
        return [(ids + 1) % 300 for ids in self._engine.decode(prefixes, new_tokens)]


@pytest.fixture
def wrong_decoding(monkeypatch) -> None:
    from pytest_kdmem.scoring import confirm as confirming

    open_engine = confirming.open_engine
    monkeypatch.setattr(confirming, "open_engine", lambda *given: _Wrong(open_engine(*given)))


def test_confirm_shows_agreement_by_witness(kdmem, tiny, data):
    done = kdmem("confirm", tiny, data, "--json", "out/confirmed.json")
    assert (done.code, done.err) == (0, "")
    ambiguous, head, scored, decoded, tolerance = done.out.splitlines()
    assert ambiguous == f"{tiny.name}: 0 of 12 distinct examples ambiguous (0.00%), 12 checked"
    assert head.split() == ["witness", "checked", "agree", "disagree", "outside", "the", "band"]
    assert scored.split() == ["transformers", "scored", "12", "12", "0", "0"]
    assert decoded.split() == ["transformers", "decoded", "12", "12", "0", "0"]
    assert tolerance.startswith("tolerance in logits: claimed 2^-")
    assert tolerance.endswith(": the claim holds")
    content = json.loads(Path("out/confirmed.json").read_text())
    assert (content["confirmed"], content["checked"], content["examples"], content["ambiguous"]) == (True, 12, 12, 0)
    assert [(one["engine"], one["way"], one["disagreements"]) for one in content["witnesses"]] == [
        ("transformers", "scored", []),
        ("transformers", "decoded", []),
    ]
    assert content["implied_tolerance"] <= content["claimed_tolerance"]
    assert content["greatest_difference"] <= content["implied_tolerance"]


def test_confirm_again_loads_no_model(kdmem, tiny, data, monkeypatch):
    from pytest_kdmem.engines.transformers import engine as transformers

    first = kdmem("confirm", tiny, data)
    assert "1 score shards, 1 training sets, 1 confirmations" in kdmem("cache", "info").out
    monkeypatch.setattr(transformers, "TransformersEngine", lambda *a, **k: pytest.fail("a model was loaded"))
    assert kdmem("confirm", tiny, data) == first
    assert kdmem("cache", "prune").out.startswith("3 files removed")
    assert "0 confirmations" in kdmem("cache", "info").out


def test_confirm_ends_with_1_where_a_witness_disagrees_outside_the_band(kdmem, tiny, data, wrong_decoding):
    done = kdmem("confirm", tiny, data, "--json", "confirmed.json")
    assert (done.code, done.err) == (1, "")
    assert "transformers scored        12       12         0                 0" in done.out
    assert "transformers decoded       12        6         6                 6" in done.out
    assert "the claim is too narrow" in done.out
    listed = [line for line in done.out.splitlines() if line.startswith("example ")]
    assert [line.split(",")[0] for line in listed] == [f"example {at}" for at in range(0, 12, 2)]
    assert all(line.endswith(": not memorized to transformers decoded, outside the band") for line in listed)
    content = json.loads(Path("confirmed.json").read_text())
    assert content["confirmed"] is False
    assert len(content["witnesses"][1]["disagreements"]) == 6


def test_confirm_passes_where_all_disagreements_lie_inside_the_band(kdmem, tiny, data, wrong_decoding, monkeypatch):
    from pytest_kdmem.engines.transformers.engine import TransformersEngine

    monkeypatch.setattr(TransformersEngine, "_measured_tolerance", lambda engine: 1024.0)
    done = kdmem("confirm", tiny, data)
    assert (done.code, done.err) == (0, "")
    assert ": 12 of 12 distinct examples ambiguous (100.00%), 12 checked" in done.out
    assert "transformers decoded       12        6         6                 0" in done.out
    assert "claimed 2^10, implied 2^" in done.out
    assert "the claim holds" in done.out
    assert done.out.count("not memorized to transformers decoded, inside the band") == 6


def test_of_very_many_disagreements_the_first_are_shown(kdmem, tiny, recited_ids, tmp_path, wrong_decoding):
    np.save(tmp_path / "many.npy", recited_ids(tiny, examples=46))
    done = kdmem("confirm", tiny, "many.npy")
    assert done.code == 1
    assert sum(line.startswith("example ") for line in done.out.splitlines()) == 20
    assert done.out.splitlines()[-1] == "and 3 more disagreements"


def test_a_part_is_scored_without_a_table(kdmem, tiny, data):
    for part in ("1/2", "2/2"):
        done = kdmem("score", tiny, data, "--shard", part)
        assert (done.code, done.err) == (0, "")
        assert done.out.startswith(f"Part {part} of {tiny} over {data} is scored")
    assert ": 1 score shards" in kdmem("cache", "info").out


@pytest.mark.parametrize("more", [["--out", "x.parquet"], ["--confirm"], ["--no-cache"]])
def test_a_part_gives_no_table_and_nothing_to_confirm(kdmem, tiny, data, more):
    done = kdmem("score", tiny, data, "--shard", "1/2", *more)
    assert done.code == 2
    assert "--shard scores a part into the cache" in done.err
    assert "--shard" not in kdmem("confirm", "--help").out


def test_what_stood_where_results_go_is_gone_when_a_command_fails(kdmem, tiny, data):
    for name in ("x.parquet", "x.json"):
        Path(name).write_text("of another run")
    assert kdmem("score", "no/such/model", data, "--out", "x.parquet").code == 2
    assert kdmem("confirm", "no/such/model", data, "--json", "x.json").code == 2
    assert not Path("x.parquet").exists()
    assert not Path("x.json").exists()


@pytest.mark.parametrize("part", ["0/2", "3/2", "1", "a/b", ""])
def test_a_part_that_is_none_is_a_usage_error(kdmem, tiny, data, part):
    done = kdmem("score", tiny, data, "--shard", part)
    assert done.code == 2
    assert "shard must be of the form 3/16" in done.err


def test_importing_the_commands_loads_nothing_heavy():
    import subprocess
    import sys

    heavy = ("torch", "transformers", "datasets", "sklearn", "scipy", "pyarrow", "numpy", "vllm", "ray")
    code = f"import sys, pytest_kdmem.cli; print(*[name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_no_cache_leaves_nothing(kdmem, tiny, data, tmp_path):
    assert kdmem("score", tiny, data, "--out", "scores.parquet", "--no-cache").code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data.npy", "scores.parquet"]


def test_cache_folder_by_option_and_environment(kdmem, tiny, data, monkeypatch):
    monkeypatch.setenv("KDMEM_CACHE_DIR", "from-environment")
    assert kdmem("score", tiny, data, "--out", "scores.parquet").code == 0
    assert "from-environment: 1 score shards" in kdmem("cache", "info").out
    assert kdmem("score", tiny, data, "--out", "scores.parquet", "--cache-dir", "from-option").code == 0
    assert "from-option: 1 score shards" in kdmem("cache", "info", "--cache-dir", "from-option").out
    assert not Path(".kdmem").exists()


def test_cache_is_told_of_and_cleared(kdmem, tiny, data):
    assert ".kdmem: 0 score shards, 0 training sets, 0 confirmations, 0.0 MB" in kdmem("cache", "info").out
    assert kdmem("score", tiny, data, "--out", "scores.parquet").code == 0
    assert ".kdmem: 1 score shards, 1 training sets" in kdmem("cache", "info").out
    assert kdmem("cache", "prune", "--older-than-days", "1").out.startswith("0 files removed")
    assert kdmem("cache", "prune").out.startswith("2 files removed from .kdmem")
    assert ".kdmem: 0 score shards, 0 training sets" in kdmem("cache", "info").out


def commands() -> list[list[str]]:
    """Every command, by the words that call it."""
    import typer

    from pytest_kdmem.cli import app

    def below(command, words):
        found = [words]
        for name, inner in getattr(command, "commands", {}).items():
            found += below(inner, [*words, name])
        return found

    return below(typer.main.get_command(app), [])


@pytest.mark.parametrize("words", commands(), ids=lambda words: " ".join(["kdmem", *words]))
def test_help_of_every_command(kdmem, words):
    done = kdmem(*words, "--help")
    assert (done.code, done.err) == (0, "")
    assert done.out.strip().startswith("Usage:")
    assert " ".join(words) in done.out
    assert "--help" in done.out


def test_help_names_the_commands(kdmem):
    shown = kdmem("--help").out
    assert all(words[0] in shown for words in commands() if words)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--engine", "tensorflow"], "engine must be one of auto, transformers"),
        (["--device", "toaster"], "device must be one of auto, cpu, cuda"),
        (["--dtype", "int8"], "dtype must be one of auto, float32, bfloat16, float16"),
        (["--form", "lines"], "must be one of documents, blocks"),
        (["--batch-size", "0"], "batch-size must be at least 1"),
        (["--sample", "0"], "must be a whole number of at least 1"),
        (["--sample", "few"], "--sample"),
        (["--prefix-tokens", "0"], "prefix-tokens must be a whole number of at least 1"),
        (["--window-tokens", "99"], "window-tokens must hold prefix and suffix (50 + 50 = 100)"),
        (["--no-such-option"], "--no-such-option"),
        (["--out", "scores.csv"], "--out must end in .parquet"),
        (["--executor", "slurm"], "executor must be one of local, ray"),
        (["--tensor-parallel", "0"], "tensor-parallel must be at least 1"),
        (["--workers", "0"], "workers must be at least 1"),
        (["--cpus-per-worker", "0"], "cpus-per-worker must be at least 1"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_option_is_a_usage_error(kdmem, tiny, data, tmp_path, arguments, expected):
    done = kdmem("score", tiny, data, "--out", "scores.parquet", *arguments)
    assert done.code == 2
    assert expected in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["data.npy"]


def test_a_table_needs_a_place(kdmem, tiny, data, tmp_path):
    done = kdmem("score", tiny, data)
    assert done.code == 2
    assert "--out must end in .parquet; found none" in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["data.npy"]


def test_missing_arguments_are_a_usage_error(kdmem):
    done = kdmem("score")
    assert done.code == 2
    assert "Missing argument" in done.err


def test_unknown_command_is_a_usage_error(kdmem):
    done = kdmem("scroe")
    assert done.code == 2
    assert "scroe" in done.err


def test_out_that_cannot_be_written_is_told_in_a_sentence(kdmem, tiny, data):
    done = kdmem("score", tiny, data, "--out", "data.npy/scores.parquet")
    assert done.code == 2
    assert "data.npy/scores.parquet" in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_cache_that_cannot_be_written_is_told_in_a_sentence(kdmem, tiny, data):
    done = kdmem("score", tiny, data, "--out", "scores.parquet", "--cache-dir", "data.npy")
    assert done.code == 2
    assert "was expected for scores at data.npy" in done.err
    assert "cache-dir" in done.err
    assert not Path("scores.parquet").exists()


def test_out_of_another_run_is_replaced_whole_or_not_at_all(kdmem, tiny, data):
    Path("scores.parquet").write_text("of another run")
    assert kdmem("score", "no/such/model", data, "--out", "scores.parquet").code == 2
    assert not Path("scores.parquet").exists() or Path("scores.parquet").read_text() == "of another run"
    assert kdmem("score", tiny, data, "--out", "scores.parquet").code == 0
    assert len(pq.read_table("scores.parquet")) == 12


def distill(tiny, data, *more: str | Path) -> list[str | Path]:
    """A training of a step or two."""
    short = ["--epochs", "1", "--batch-size", "6", "--precision", "float32"]
    return ["distill", "--init", tiny, "--train", data, "--out", "student", *short, *more]


def test_distill_trains_and_says_what_it_does(kdmem, tiny, data):
    done = kdmem(*distill(tiny, data, "--teacher", tiny, "--held-out", data))
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0].startswith("teacher ")
    assert lines[1] == "soft: 12 examples, 1 epochs"
    assert lines[2].startswith("epoch 1 of 1: loss ")
    assert ", held-out loss " in lines[2]
    assert lines[3] == "soft model in student"
    assert Path("student/model.safetensors").is_file()
    assert not Path(".student.training").exists()


def test_distill_leaves_a_folder_that_holds_files_alone(kdmem, tiny, data):
    Path("student").mkdir()
    Path("student/notes.txt").write_text("mine")
    done = kdmem(*distill(tiny, data, "--mode", "baseline"))
    assert done.code == 2
    assert done.err.startswith("kdmem: An empty or new folder was expected")
    assert [path.name for path in Path("student").iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--mode", "sotf"], "mode must be one of baseline, soft, hard; found 'sotf'"),
        (["--divergence", "kl"], "divergence must be one of forward, reverse, jsd"),
        (["--temperature", "0"], "temperature must be positive"),
        (["--teacher-top-k", "0"], "teacher-top-k must be positive"),
        (["--micro-batch-size", "0"], "micro-batch-size must be at least 1"),
        (["--micro-batch-size", "4"], "in passes of 4 was expected; found 6"),
        (["--checkpoint-minutes", "-1"], "checkpoint-minutes must not be negative"),
        ([], "A teacher was expected for mode soft, and none was given; name one with --teacher."),
        (["--held-out", "nowhere.jsonl", "--mode", "baseline"], "nowhere.jsonl"),
        (["--window-tokens", "20"], "window-tokens must hold prefix and suffix"),
    ],
    ids=str,
)
def test_distill_refuses_in_a_sentence(kdmem, tiny, data, more, message):
    done = kdmem(*distill(tiny, data, *more))
    assert done.code == 2
    assert message in done.err
    assert len(done.err.strip().splitlines()) == 1
    assert not Path("student").exists()


def test_distill_that_sigterm_stops_ends_as_a_stopped_process_does_and_goes_on(kdmem, tiny, data, monkeypatch):
    import signal

    from pytest_kdmem.base.progress import Lines

    advance = Lines.advance

    def and_stop(self, examples):
        advance(self, examples)
        if self._done == 6:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(Lines, "advance", and_stop)
    command = distill(tiny, data, "--mode", "baseline")
    stopped = kdmem(*command)
    assert stopped.code == 143
    assert stopped.err.startswith("kdmem: Training stopped at step 1 of 2, as SIGTERM asked")
    assert not Path("student").exists()
    monkeypatch.setattr(Lines, "advance", advance)
    again = kdmem(*command)
    assert again.code == 0
    assert "going on at step 1" in again.out
    assert Path("student/model.safetensors").is_file()
