"""Weights have one digest however they are divided into files, and damaged or pickled ones are refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.specs.model_folder import WEIGHTS, digest, refusal


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
