"""What cannot be audited: a sentence that names the place and the way out, and nothing left behind."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

LENGTHS = ["--prefix-tokens", "12", "--suffix-tokens", "8", "--window-tokens", "20"]


@pytest.fixture
def refused(tmp_path, monkeypatch, capsys, imported) -> Callable[..., str]:
    """Runs ``kdmem score`` where it must refuse, and gives the sentence it says."""
    from pytest_kdmem.cli import main

    monkeypatch.chdir(tmp_path)

    def run(model: Path | str, data: Path | str, *arguments: str, lengths: list[str] = LENGTHS) -> str:
        with pytest.raises(SystemExit) as exit:
            main(["score", str(model), str(data), "--out", "scores.parquet", *lengths, *arguments])
        output = capsys.readouterr()
        assert exit.value.code not in (0, None)
        assert "Traceback" not in output.out + output.err
        assert output.out == ""
        *progress, line = output.err.strip().splitlines()
        assert progress in ([], [f"kdmem: opening {Path(model).name}"]), output.err
        assert line.startswith("kdmem: ")
        assert list(tmp_path.rglob("*.parquet")) == []
        return line

    return run


@pytest.fixture
def student(cast, tmp_path) -> Path:
    """A copy of the student, to be damaged."""
    return Path(shutil.copytree(cast.student, tmp_path / "student"))


@pytest.fixture
def data(cast, tmp_path) -> Path:
    np.save(tmp_path / "data.npy", cast.rows)
    return tmp_path / "data.npy"


def rewrite_weights(folder: Path, change: Callable[[dict], object]) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


# The training set


def test_missing_file(refused, student):
    message = refused(student, "no/such/data.npy")
    assert "no/such/data.npy" in message
    assert "check the path" in message


def test_unknown_ending(refused, student, tmp_path):
    (tmp_path / "data.csv").write_text("text\nwords\n")
    message = refused(student, "data.csv")
    assert "data.csv" in message
    assert ".jsonl" in message


def test_missing_column(refused, student, write_jsonl, cast):
    message = refused(student, write_jsonl(cast.texts, column="body"))
    assert "Column 'text' was expected in line 1 of " in message
    assert "found body" in message
    assert "name the right one with --text-column" in message


def test_missing_split(refused, student, cast, tmp_path):
    from datasets import Dataset, DatasetDict
    from datasets.utils import logging

    logging.disable_progress_bar()
    DatasetDict({"train": Dataset.from_dict({"text": cast.texts})}).save_to_disk(tmp_path / "saved")
    message = refused(student, "saved", "--split", "held-out")
    assert "Split 'held-out' was expected in saved; found train" in message


def test_folder_of_something_else(refused, student, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "train.jsonl").write_text("{}\n")
    assert "folder" in refused(student, "folder")


def test_malformed_line_is_named_by_its_number(refused, student, cast, tmp_path):
    lines = [json.dumps({"text": text}) for text in cast.texts]
    lines[6] = lines[6][:-3]
    (tmp_path / "train.jsonl").write_text("\n".join(lines))
    message = refused(student, "train.jsonl")
    assert "line 7 of train.jsonl" in message
    assert "mend or drop it" in message
    assert "zq" not in message  # the line itself is training data


def test_text_that_is_no_text_is_named_by_its_line(refused, student, cast, tmp_path):
    rows = [{"text": text} for text in cast.texts]
    rows[2]["text"] = None
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert "line 3 of train.jsonl; found NoneType" in refused(student, "train.jsonl")


def test_file_that_is_not_what_its_ending_says(refused, student, tmp_path):
    (tmp_path / "train.jsonl.gz").write_bytes(b"no gzip at all")
    assert "train.jsonl.gz" in refused(student, "train.jsonl.gz")


@pytest.mark.parametrize("name", ["train.jsonl", "train.txt"])
def test_empty_set(refused, student, tmp_path, name):
    (tmp_path / name).write_text("")
    message = refused(student, name)
    assert f"Training set {name} was expected to hold examples, and it is empty" in message


def test_empty_array(refused, student, tmp_path):
    np.save(tmp_path / "data.npy", np.zeros((0, 20), dtype=np.int32))
    assert "data.npy was expected to hold examples, and it is empty" in refused(student, "data.npy")


def test_array_of_no_ids(refused, student, tmp_path):
    np.save(tmp_path / "data.npy", np.zeros((4, 20), dtype=np.float32))
    assert "found float32 of shape [4, 20]" in refused(student, "data.npy")


def test_all_examples_too_short(refused, student, tmp_path, cast):
    np.save(tmp_path / "data.npy", cast.rows[:, :19])
    message = refused(student, "data.npy")
    assert "at least 20 tokens (prefix + suffix) were expected in data.npy, and all 20 are shorter" in message
    assert "prefix-tokens" in message


@pytest.mark.parametrize("wrong", [300, 70_000])
def test_ids_outside_the_vocabulary(refused, student, tmp_path, cast, wrong):
    rows = cast.rows.copy()
    rows[5, 3] = wrong
    np.save(tmp_path / "data.npy", rows)
    message = refused(student, "data.npy")
    assert f"Token ids from 0 to below 300 were expected by model {student}, and example 5 holds {wrong}" in message


def test_negative_ids(refused, student, tmp_path, cast):
    rows = cast.rows.copy()
    rows[5, 3] = -100
    np.save(tmp_path / "data.npy", rows)
    message = refused(student, "data.npy")
    assert "row 5 of data.npy" in message
    assert "-100" in message


# The lengths


def test_lengths_beyond_the_models_positions(refused, student, data):
    message = refused(
        student, data, lengths=["--prefix-tokens", "200", "--suffix-tokens", "57", "--window-tokens", "257"]
    )
    assert "At most 256 positions" in message
    assert "257" in message


def test_window_shorter_than_prefix_and_suffix(refused, student, data):
    message = refused(student, data, "--window-tokens", "19")
    assert "window-tokens must hold prefix and suffix (12 + 8 = 20); found 19" in message


# The model


def test_missing_model(refused, data):
    assert "A model folder was expected at no/such/model" in refused("no/such/model", data)


def test_folder_without_a_model(refused, data, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "Weights of a model were expected" in refused(tmp_path / "empty", data)


@pytest.mark.parametrize("everywhere", [True, False], ids=["everywhere", "at one token"])
def test_weights_that_give_nan(refused, student, data, cast, everywhere):
    def break_embedding(weights: dict) -> None:
        rows = slice(None) if everywhere else int(cast.rows[4, 3])
        weights["gpt_neox.embed_in.weight"][rows] = float("nan")

    rewrite_weights(student, break_embedding)
    message = refused(student, data)
    assert f"Finite logits were expected of model {student}, and it gives NaN" in message
    assert "its weights are broken" in message


def test_pickled_weights_are_never_read(refused, student, data):
    import torch
    from safetensors.torch import load_file

    torch.save(load_file(student / "model.safetensors"), student / "pytorch_model.bin")
    (student / "model.safetensors").unlink()
    message = refused(student, data)
    assert "only pickled ones (pytorch_model.bin)" in message
    assert "save_pretrained" in message


def test_missing_tensor(refused, student, data):
    name = "gpt_neox.layers.1.mlp.dense_h_to_4h.weight"
    rewrite_weights(student, lambda weights: weights.pop(name))
    message = refused(student, data)
    assert name in message
    assert "save the whole model again" in message


def test_tensor_of_another_shape(refused, student, data):
    name = "gpt_neox.layers.1.mlp.dense_h_to_4h.weight"

    def cut(weights: dict) -> None:
        weights[name] = weights[name][:-1].clone()

    rewrite_weights(student, cut)
    assert str(student) in refused(student, data)


def test_tensor_without_a_place(refused, student, data):
    """Dropped without a word, it would leave another model than the one that is shipped."""
    config = json.loads((student / "config.json").read_text())
    layers = config["num_hidden_layers"]
    (student / "config.json").write_text(json.dumps({**config, "num_hidden_layers": layers - 1}))
    message = refused(student, data)
    assert "A place for every weight in" in message
    assert f"(first: gpt_neox.layers.{layers - 1}." in message
    assert "correct config.json" in message


def test_adapter_without_a_base(refused, student, data):
    (student / "model.safetensors").rename(student / "adapter_model.safetensors")
    (student / "adapter_config.json").write_text("{}")
    (student / "config.json").unlink()
    assert "A base was expected of the adapter in" in refused(student, data)


def test_quantized_model_whose_library_is_not_there(refused, student, data):
    config = json.loads((student / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "gptq", "bits": 4}
    (student / "config.json").write_text(json.dumps(config))
    message = refused(student, data)
    assert "The package optimum was expected to load the model in" in message
    assert "pip install optimum gptqmodel" in message


def test_weights_cut_short(refused, student, data):
    whole = (student / "model.safetensors").read_bytes()
    (student / "model.safetensors").write_bytes(whole[:-1000])
    message = refused(student, data)
    assert "model.safetensors, which is cut short" in message
    assert "copy or save" in message


def test_text_without_a_tokenizer(refused, student, write_jsonl, cast):
    (student / "tokenizer.json").unlink()
    message = refused(student, write_jsonl(cast.texts))
    assert "needs a tokenizer" in message
    assert "save the tokenizer beside the weights" in message


# Through the plugin


def test_models_with_different_tokenizers_are_not_compared(unscored_project, make_model):
    other = make_model(seed=9)
    unscored_project.declare(student=other)
    unscored_project.gates("def test_ratio(inheritance): assert inheritance().ratio <= 1")
    result = unscored_project.run()
    result.assert_outcomes(errors=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    [line] = unscored_project.failures(result)
    assert "The same tokenizer was expected of" in line
    assert str(other) in line
    assert "Traceback" not in result.stdout.str()
    assert unscored_project.shards == []


def test_broken_weights_fail_the_gate(unscored_project, student):
    rewrite_weights(student, lambda weights: weights["gpt_neox.embed_in.weight"].fill_(float("nan")))
    unscored_project.declare(student=student)
    unscored_project.gates("def test_rate(memorization, student): assert memorization(student).rate <= 1")
    result = unscored_project.run("--kdmem-report=audit.json")
    result.assert_outcomes(errors=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["ERROR *Finite logits were expected of model *"])
    [gate] = json.loads((unscored_project.path / "audit.json").read_text())["gates"]
    assert gate["outcome"] == "error"
    assert unscored_project.shards == []


def test_a_student_whose_weights_would_be_dropped_fails_the_gate(unscored_project, student):
    rewrite_weights(
        student, lambda weights: weights.update({"head.bias": weights["gpt_neox.final_layer_norm.bias"] + 1})
    )
    unscored_project.declare(student=student)
    unscored_project.gates("def test_rate(memorization, student): assert memorization(student).rate <= 1")
    result = unscored_project.run()
    result.assert_outcomes(errors=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    [line] = unscored_project.failures(result)
    assert "1 have none and would be dropped (first: head.bias)" in line
    assert unscored_project.shards == []


def test_empty_control_set_fails_the_gate(audit_project):
    np.save(audit_project.path / "control.npy", np.zeros((0, 20), dtype=np.int32))
    audit_project.configure(kdmem_control_set="control.npy")
    audit_project.gates(
        "def test_loss(memorization, student, control_set): assert memorization(student, control_set).loss <= 99"
    )
    result = audit_project.run()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["ERROR *control.npy was expected to hold examples, and it is empty*"])
