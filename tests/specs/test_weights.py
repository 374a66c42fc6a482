"""Weights have one digest however they are divided into files, and damaged or pickled ones are refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_kdmem.specs.weights import weight_files, weights_digest
from tests.specs.model_folder import WEIGHTS, change_json, digest, refusal

INDEX = "model.safetensors.index.json"


def write_weights(path: Path, header: object, body: bytes = b"") -> None:
    encoded = json.dumps(header).encode()
    path.write_bytes(len(encoded).to_bytes(8, "little") + encoded + body)


def test_weights_in_several_files_have_the_same_digest(tiny: Path, sharded: Path) -> None:
    assert digest(sharded) == digest(tiny)


def test_where_a_single_file_lies_beside_an_index_the_digest_is_of_what_transformers_loads(
    sharded: Path, make_model: Callable[..., Path]
) -> None:
    from transformers import AutoModelForCausalLM

    other = make_model("pythia", seed=7)
    shutil.copy(other / WEIGHTS, sharded / WEIGHTS)
    loaded, expected = (
        AutoModelForCausalLM.from_pretrained(folder).get_input_embeddings().weight for folder in (sharded, other)
    )
    assert loaded.equal(expected)
    assert digest(sharded) == digest(other)


def test_one_weight_bit_changes_the_digest(tiny: Path, copied: Path) -> None:
    content = bytearray((copied / WEIGHTS).read_bytes())
    content[-1] ^= 1
    (copied / WEIGHTS).write_bytes(content)
    assert digest(copied) != digest(tiny)


def test_a_file_cut_short_is_refused(copied: Path) -> None:
    content = (copied / WEIGHTS).read_bytes()
    for kept in (len(content) - 1, 100, 4, 0):
        (copied / WEIGHTS).write_bytes(content[:kept])
        assert WEIGHTS in refusal(copied)


@pytest.mark.parametrize(
    "header",
    ["{not json", "\xff", [], 3, {}, {"weight": 3}, {"weight": {"dtype": "F32"}}, {"__metadata__": {}}],
    ids=repr,
)
def test_a_header_that_is_no_safetensors_header_is_refused(copied: Path, header: object) -> None:
    if isinstance(header, str):
        encoded = header.encode("latin-1")
        (copied / WEIGHTS).write_bytes(len(encoded).to_bytes(8, "little") + encoded)
    else:
        write_weights(copied / WEIGHTS, header)
    refusal(copied)


def test_bytes_of_another_format_are_refused(copied: Path) -> None:
    (copied / WEIGHTS).write_bytes(bytes(range(256)) * 8)
    assert WEIGHTS in refusal(copied)


def test_pickled_weights_are_never_read(copied: Path) -> None:
    (copied / WEIGHTS).unlink()
    (copied / "pytorch_model.bin").write_bytes(b"\x80\x04N.")
    sentence = refusal(copied)
    assert "pytorch_model.bin" in sentence
    assert "save_pretrained" in sentence


def test_a_folder_without_weights_is_refused(copied: Path) -> None:
    (copied / WEIGHTS).unlink()
    refusal(copied)


def test_a_missing_shard_is_named(sharded: Path) -> None:
    missing = sorted(sharded.glob("model-*.safetensors"))[1]
    missing.unlink()
    assert missing.name in refusal(sharded)


@pytest.mark.parametrize(
    "content",
    [
        {"metadata": {}},
        {"metadata": {}, "weight_map": {}},
        {"metadata": {}, "weight_map": [WEIGHTS]},
        {"metadata": {}, "weight_map": None},
        {"weight_map": {"weight": "model-1.safetensors"}},
        {"metadata": [], "weight_map": {"weight": "model-1.safetensors"}},
    ],
    ids=repr,
)
def test_an_index_of_another_form_is_refused(sharded: Path, content: object) -> None:
    (sharded / INDEX).write_text(json.dumps(content))
    assert "lacks weight_map or metadata" in refusal(sharded)


@pytest.mark.parametrize("name", [3, None, ["a"], {"a": "b"}, "", "../model.safetensors", "/tmp/model.safetensors"])
def test_an_index_that_names_no_file_of_the_folder_is_refused(sharded: Path, name: object) -> None:
    change_json(sharded / INDEX, weight_map={"weight": name})
    assert "Names of files beside it were expected as weight_map" in refusal(sharded)


@pytest.mark.parametrize("offsets", [[0, 1e999], [-1e999, 4], ["0", "4x"], [[], 4], None], ids=repr)
def test_offsets_that_are_no_numbers_are_refused(copied: Path, offsets: object) -> None:
    write_weights(copied / WEIGHTS, {"weight": {"dtype": "F32", "shape": [1], "data_offsets": offsets}}, b"\0" * 4)
    assert "which is no safetensors file" in refusal(copied)


def test_a_tensor_in_two_files_is_refused(sharded: Path) -> None:
    """Which one is loaded depends on the names of the files, and the digest does not."""
    first, second, *_ = sorted(sharded.glob("*.safetensors"))
    shutil.copy(first, second)
    assert "is in two files" in refusal(sharded)


@pytest.fixture
def redirected(copied: Path, make_model: Callable[..., Path]) -> Path:
    """A folder whose configuration names another file of weights than model.safetensors."""
    shutil.copy(make_model("pythia", seed=8) / WEIGHTS, copied / "real.safetensors")
    change_json(copied / "config.json", transformers_weights="real.safetensors")
    return copied


def test_the_digest_is_of_the_file_that_the_configuration_names(
    redirected: Path, make_model: Callable[..., Path]
) -> None:
    from transformers import AutoModelForCausalLM

    assert weight_files(redirected) == [redirected / "real.safetensors"]
    loaded = AutoModelForCausalLM.from_pretrained(redirected).get_input_embeddings().weight
    expected = AutoModelForCausalLM.from_pretrained(make_model("pythia", seed=8)).get_input_embeddings().weight
    assert loaded.equal(expected)
    before = digest(redirected)
    shutil.copy(make_model("pythia", seed=9) / WEIGHTS, redirected / "real.safetensors")
    assert digest(redirected) != before


def test_a_named_index_is_followed(sharded: Path, tiny: Path) -> None:
    (sharded / INDEX).rename(sharded / "other.safetensors.index.json")
    change_json(sharded / "config.json", transformers_weights="other.safetensors.index.json")
    assert weights_digest(sharded) == weights_digest(tiny)


@pytest.mark.parametrize(
    "name", ["../real.safetensors", "/tmp/real.safetensors", "real.bin", "adapter_model.bin", 3, ["real.safetensors"]]
)
def test_a_name_that_is_no_safetensors_file_of_the_folder_is_refused(redirected: Path, name: object) -> None:
    change_json(redirected / "config.json", transformers_weights=name)
    assert "transformers_weights in" in refusal(redirected)


@pytest.mark.parametrize("part", [{}, {"transformers_weights": "model.safetensors"}])
def test_a_name_that_not_all_parts_of_a_configuration_give_is_refused(redirected: Path, part: object) -> None:
    change_json(redirected / "config.json", text_config=part)
    assert "the same in all of its parts" in refusal(redirected)


def test_a_named_file_that_is_not_there_is_refused(redirected: Path) -> None:
    (redirected / "real.safetensors").unlink()
    assert "expected as real.safetensors" in refusal(redirected)


def test_an_index_that_names_what_can_be_no_file_is_refused(sharded: Path) -> None:
    change_json(sharded / INDEX, weight_map={"weight": "x" * 300})
    assert "Weights a text of 300 characters were expected" in refusal(sharded)


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [1], "data_offsets": [0, 1e300]},
        {"dtype": "F32", "shape": [True], "data_offsets": [0, 4]},
        {"dtype": 32, "shape": [1], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": "1", "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": None, "data_offsets": [0, 4]},
        [],
        None,
    ],
    ids=range(7),
)
def test_an_entry_of_another_kind_is_refused(copied: Path, entry: object) -> None:
    write_weights(copied / WEIGHTS, {"weight": entry}, bytes(4))
    assert "no safetensors file" in refusal(copied)
