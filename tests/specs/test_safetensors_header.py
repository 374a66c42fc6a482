"""The header of a safetensors file says where tensors lie; a damaged one is refused in a sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.safetensors_header import TensorEntry, read_entries, read_header


def written(path: Path, header: Any, content: bytes = b"\0" * 8) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content)
    return path


def entry(**changes: Any) -> dict[str, Any]:
    return {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} | changes}


def test_entries_are_those_that_the_library_wrote(tmp_path: Path) -> None:
    path, values = tmp_path / "model.safetensors", np.arange(6, dtype=np.float32).reshape(2, 3)
    save_file({"w": values}, path, metadata={"format": "pt"})
    (tensor,) = read_entries(path)
    assert tensor[:3] == ("w", "F32", (2, 3))
    assert path.read_bytes()[tensor.begin : tensor.end] == values.tobytes()
    header, start = read_header(path)
    assert (header["__metadata__"], start) == ({"format": "pt"}, tensor.begin)


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (b"no JSON", "is no safetensors file"),
        ([], "is no safetensors file"),
        ({}, "holds no tensor"),
        ({"__metadata__": {}}, "holds no tensor"),
        (entry(data_offsets=[0, 9]), "is cut short"),
        (entry(data_offsets=[8, 0]), "is cut short"),
        (entry(data_offsets=[-4, 0]), "is cut short"),
        (entry(data_offsets=[0, True]), "is no safetensors file"),
        (entry(data_offsets=[0]), "is no safetensors file"),
        (entry(shape=["2"]), "is no safetensors file"),
        (entry(dtype=4), "is no safetensors file"),
        ({"w": []}, "is no safetensors file"),
    ],
)
def test_a_damaged_header_is_refused(tmp_path: Path, header: Any, reason: str) -> None:
    with pytest.raises(SpecError, match=reason):
        read_entries(written(tmp_path / "model.safetensors", header))


@pytest.mark.parametrize("content", [b"", b"\5\0\0", (100).to_bytes(8, "little"), b"\xff" * 8])
def test_a_file_that_is_shorter_than_its_header_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(SpecError, match="is cut short"):
        read_header(path)


def test_a_right_header_written_by_hand_is_read(tmp_path: Path) -> None:
    path = written(tmp_path / "model.safetensors", entry())
    start = path.stat().st_size - 8
    assert read_entries(path) == [TensorEntry("w", "F32", (2,), start, start + 8)]
