"""Writes Megatron's files as their format says, independently of the package: pairs, and the order of a training."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

# Code of each type in an index.
CODES = {
    "uint8": 1,
    "int8": 2,
    "int16": 3,
    "int32": 4,
    "int64": 5,
    "float64": 6,
    "float32": 7,
    "uint16": 8,
    "uint32": 9,
}


def write_pair(path: Path, rows: Sequence[Sequence[int]], dtype: str = "uint16", **other: object) -> Path:
    """A .bin file of these sequences and its index; ``other`` replaces parts of the index."""
    content = [np.array(row, dtype).tobytes() for row in rows]
    path.write_bytes(b"".join(content))
    sizes = [len(row) for row in rows]
    pointers = [sum(len(part) for part in content[:at]) for at in range(len(rows))]
    parts = {"magic": b"MMIDIDX\0\0", "version": 1, "code": CODES[dtype], "count": len(rows), "sizes": sizes,
             "pointers": pointers, "documents": list(range(len(rows) + 1)), "behind": b""} | other  # fmt: skip
    index = parts["magic"] + struct.pack(
        "<QBQQ", parts["version"], parts["code"], parts["count"], len(parts["documents"])
    )
    index += struct.pack(f"<{len(parts['sizes'])}i", *parts["sizes"])
    for name in ("pointers", "documents"):
        index += struct.pack(f"<{len(parts[name])}q", *parts[name])
    path.with_suffix(".idx").write_bytes(index + parts["behind"])
    return path


def write_order(
    folder: Path, rows: Sequence[Sequence[int]], length: int, seed: int = 0, name: str = ""
) -> tuple[Path, list[list[int]]]:
    """The order of a training with samples of this length, and the samples that it stands for, each one longer."""
    random = np.random.default_rng(seed)
    documents = random.permutation(len(rows)).astype(np.int32)
    places = [(at, token) for at, row in enumerate(documents) for token in range(len(rows[row]))]
    stream = [rows[documents[at]][token] for at, token in places]
    count = (len(stream) - 1) // length
    begins = [at * length for at in range(count + 1)]
    shuffle = random.permutation(count).astype(np.uint32)
    prefix = folder / f"set_train_indexmap{name}"
    np.save(f"{prefix}_doc_idx.npy", documents)
    np.save(f"{prefix}_sample_idx.npy", np.array([places[begin] for begin in begins], np.int32))
    np.save(f"{prefix}_shuffle_idx.npy", shuffle)
    samples = [stream[begins[at] : begins[at] + length + 1] for at in shuffle.tolist()]
    return Path(f"{prefix}_shuffle_idx.npy"), samples
