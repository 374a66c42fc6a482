"""Valid files of every format, to be damaged."""

from __future__ import annotations

import io
import json
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.conftest import ROOT
from tests.corpus.megatron_files import write_order, write_pair

RECORDS = ROOT / "tests" / "records"
TEXTS = [f"word{number} " * 4 for number in range(40)]
IDS = [list(range(number, number + 7)) for number in range(40)]


def parquet(table: pa.Table, **how: Any) -> bytes:
    """A table as a file."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, row_group_size=13, **how)
    return sink.getvalue().to_pybytes()


def arrow(table: pa.Table, new: Callable[..., Any], compression: str | None) -> bytes:
    """A table as a file, by one of arrow's writers."""
    sink = pa.BufferOutputStream()
    with new(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(table, max_chunksize=13)
    return sink.getvalue().to_pybytes()


def npy(array: np.ndarray) -> bytes:
    """An array as a file."""
    sink = io.BytesIO()
    np.save(sink, array)
    return sink.getvalue()


def token_files() -> dict[str, bytes]:
    """A pair of .bin and .idx, and an order of samples over it."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        write_pair(folder / "a.bin", IDS)
        write_order(folder, IDS, 9)
        return {path.name: path.read_bytes() for path in folder.iterdir()}


def zstd(content: bytes) -> bytes:
    """Content compressed."""
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    return sink.getvalue().to_pybytes()


def tables() -> list[pa.Table]:
    """Tables of text and of token ids."""
    return [
        pa.table({"text": TEXTS, "n": list(range(40))}),
        pa.table({"input_ids": IDS, "text": TEXTS}),
        pa.table({"input_ids": pa.array(IDS, pa.list_(pa.int32(), 7))}),
        pa.table({"text": pa.array(["a", "b", None, "a"] * 10).dictionary_encode()}),
        pa.table({"text": pa.array(["a", "bc", "a"] * 10, pa.large_string())}),
    ]


def model() -> dict[str, bytes]:
    """A tiny model of two tensors, whole and by an index."""
    weights = np.arange(12, dtype=np.float32)
    header = {
        "__metadata__": {"format": "pt"},
        "a": {"dtype": "F32", "shape": [2, 4], "data_offsets": [0, 32]},
        "b": {"dtype": "F32", "shape": [4], "data_offsets": [32, 48]},
    }
    text = json.dumps(header).encode()
    index = {"metadata": {"total_size": 48}, "weight_map": {"a": "shard.safetensors", "b": "shard.safetensors"}}
    source = ROOT / "fixtures" / "models" / "pythia" / "base-small"
    tokenizer = json.loads((source / "tokenizer.json").read_text(encoding="utf-8"))
    tokenizer["model"] |= {"vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]}
    return {
        "model/model.safetensors": struct.pack("<Q", len(text)) + text + weights.tobytes(),
        "model/model.safetensors.index.json": json.dumps(index).encode(),
        "model/config.json": (source / "config.json").read_bytes(),
        "model/tokenizer.json": json.dumps(tokenizer).encode(),
        "model/tokenizer_config.json": (source / "tokenizer_config.json").read_bytes(),
        "model/kdmem_run.json": (RECORDS / "kdmem_run.json").read_bytes(),
    }


def shortened(value: Any) -> Any:
    """JSON whose long lists hold a few values, of which a damaged one is read soon."""
    if isinstance(value, dict):
        return {
            key: entry if key in ("edges", "margins", "counts") else shortened(entry) for key, entry in value.items()
        }
    return [shortened(entry) for entry in value[:8]] if isinstance(value, list) else value


def without(files: dict[str, bytes], *names: str) -> dict[str, bytes]:
    """All files but some."""
    return {name: content for name, content in files.items() if name not in names}


def folder_of_datasets() -> dict[str, bytes]:
    """A set as `datasets` saves it."""
    state = {"_data_files": [{"filename": "data-0.arrow"}], "_fingerprint": "f", "_split": None}
    table = arrow(tables()[0], pa.ipc.new_stream, None)
    return {
        "saved/dataset_dict.json": json.dumps({"splits": ["train"]}).encode(),
        "saved/train/state.json": json.dumps(state).encode(),
        "saved/train/data-0.arrow": table,
    }


def adapter() -> dict[str, bytes]:
    """An adapter of the model, and the model."""
    config = {
        "base_model_name_or_path": "model", "peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 2, "lora_alpha": 4,
        "target_modules": ["a"], "modules_to_save": None, "revision": None, "inference_mode": True,
    }  # fmt: skip
    header = {"base_model.model.a.lora_A.weight": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}}
    text = json.dumps(header).encode()
    return model() | {
        "adapter/adapter_config.json": json.dumps(config).encode(),
        "adapter/adapter_model.safetensors": struct.pack("<Q", len(text)) + text + bytes(16),
    }
