"""Finds, checks and digests the safetensors weights of a model folder without loading them."""

from __future__ import annotations

import hashlib
import json
import mmap
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

from pytest_kdmem.base.digests import digest_of
from pytest_kdmem.base.file_memory import FileMemory
from pytest_kdmem.base.paths import read_text
from pytest_kdmem.errors import SpecError

WEIGHT_INDEX = "model.safetensors.index.json"
LONGEST_HEADER = 100_000_000  # bytes, as the library `safetensors` allows
PICKLED_ENDINGS = (".bin", ".pt", ".pth", ".ckpt")


class Weights(NamedTuple):
    """Properties of the tensors of a model.

    Attributes:
        digest: Hex digest (128 bits) of all tensors.
        parameters: Number of parameters.
        dtype: Precision of most parameters.
    """

    digest: str
    parameters: int
    dtype: str


_WEIGHTS: FileMemory[Weights] = FileMemory()


def weights_digest(folder: Path) -> str:
    """Hex digest (128 bits) of all tensors of a model folder, in order of their names.

    It depends neither on how the tensors are divided into files nor on other files in the folder.

    Raises:
        SpecError: There are no safetensors weights, or they are damaged.
    """
    return read_weights(folder).digest


def read_weights(folder: Path) -> Weights:
    """Digest the weights of a model folder; files are read once, as long as they stay the same.

    Raises:
        SpecError: There are no safetensors weights, or they are damaged.
    """
    files = weight_files(folder)
    return _WEIGHTS.get(files, lambda: _compute_weights(files))


def _compute_weights(files: Sequence[Path]) -> Weights:
    with ThreadPoolExecutor() as pool:
        tensors = sorted(chain.from_iterable(pool.map(_read_tensors, files)))
    parameters: dict[str, int] = {}  # by dtype
    for _, dtype, shape, _ in tensors:
        parameters[dtype] = parameters.get(dtype, 0) + prod(shape)
    commonest = max(parameters, key=lambda dtype: parameters[dtype])
    names = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}
    return Weights(digest_of(tensors), sum(parameters.values()), names.get(commonest, "float32"))


def weight_files(folder: Path) -> list[Path]:
    """The files that transformers loads: ``model.safetensors``, or else the files that its index names.

    Raises:
        SpecError: There are no weights, or files are missing that the index names.
    """
    single, index = folder / "model.safetensors", folder / WEIGHT_INDEX
    if (folder / "adapter_config.json").is_file():
        raise SpecError(
            f"A whole model was expected in {folder}, which holds an adapter; merge it into its base first."
        )
    if single.is_file():  # transformers looks in the same order
        return [single]
    if index.is_file():
        names = _names_in_index(index)
        files = [folder / name for name in names]
        missing = [file.name for file in files if not file.is_file()]
        if missing:
            raise SpecError(f"Weights {', '.join(missing)} were expected in {folder} by its index and are not there.")
        if files:
            return files
    pickled = sorted(file.name for file in folder.iterdir() if file.suffix in PICKLED_ENDINGS)
    if pickled:
        raise SpecError(
            f"Weights were expected as safetensors in {folder}, which holds only pickled ones ({pickled[0]}); pickle"
            " can run code, so it is never read: save the model again with save_pretrained."
        )
    raise SpecError(f"Weights were expected as model.safetensors in {folder}, and there are none.")


def _names_in_index(index: Path) -> list[str]:
    names = read_model_json(index, "an index of weights").get("weight_map", {})
    # A name with a folder in it could lead out of the model folder.
    if not isinstance(names, dict) or any(not isinstance(n, str) or n != Path(n).name for n in names.values()):
        raise SpecError(f"Names of files beside it were expected as weight_map in {index}; save the model again.")
    return sorted(set(names.values()))


def _read_tensors(path: Path) -> list[tuple[str, str, tuple[int, ...], str]]:
    """Name, dtype, shape and SHA-256 of the bytes of each tensor in a safetensors file."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(8)
        start = 8 + int.from_bytes(head, "little")
        if len(head) < 8 or start > size or start > LONGEST_HEADER:
            raise SpecError(f"Weights were expected in {path}, which is cut short; copy or save the model again.")
        try:
            header = json.loads(file.read(start - 8))
            entries = [_tensor_entry(name, entry) for name, entry in header.items() if name != "__metadata__"]
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise SpecError(f"Weights were expected in {path}, which is no safetensors file.") from None
        if not entries:
            raise SpecError(f"Weights were expected in {path}, which holds no tensor.")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content, memoryview(content) as view:
            tensors = []
            for name, dtype, shape, begin, end in entries:
                if not 0 <= begin <= end <= size - start:
                    raise SpecError(f"Weights were expected in {path}, which is cut short; copy or save it again.")
                digest = hashlib.sha256(view[start + begin : start + end]).hexdigest()
                tensors.append((name, dtype, shape, digest))
    return tensors


def _tensor_entry(name: str, entry: dict[str, Any]) -> tuple[str, str, tuple[int, ...], int, int]:
    begin, end = entry["data_offsets"]
    dtype, shape = entry["dtype"], tuple(entry["shape"])
    if not isinstance(dtype, str) or not all(type(number) is int for number in (begin, end, *shape)):
        raise TypeError
    return name, dtype, shape, begin, end


def read_model_json(path: Path, what: str) -> dict[str, Any]:
    """Read a JSON object from a model folder; ``what`` is what messages call it, with an article.

    Raises:
        SpecError: There is no such file, or it holds no JSON object.
    """
    try:
        content = json.loads(read_text(path))
    except FileNotFoundError:
        raise SpecError(f"{what.capitalize()} was expected at {path}, and there is no such file.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise SpecError(f"{what.capitalize()} was expected in {path}, which is no valid JSON ({error}).") from None
    if not isinstance(content, dict):
        raise SpecError(f"{what.capitalize()} was expected in {path}, which holds no JSON object.")
    return content
