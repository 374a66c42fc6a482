"""Finds, checks and digests the safetensors weights of a model folder without loading them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import RawIOBase
from itertools import pairwise
from math import prod
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from pytest_kdmem.base.digests import digest_of
from pytest_kdmem.base.file_memory import FileMemory
from pytest_kdmem.base.paths import is_file
from pytest_kdmem.errors import SpecError
from pytest_kdmem.errors.harmless import listed
from pytest_kdmem.specs.folder_kind import folder_kind
from pytest_kdmem.specs.layout import CONFIG, check_layout, read_model_json
from pytest_kdmem.specs.safetensors_header import TensorEntry, read_entries, read_header

SINGLE = "model.safetensors"
WEIGHT_INDEX = "model.safetensors.index.json"
CHUNK_BYTES = 1 << 20
# Key of a file's metadata that names tensors which are put together of several stored ones.
READING = "tensor_names"
# Key of the configuration by which transformers loads another file of weights.
REDIRECT = "transformers_weights"


class Weights(NamedTuple):
    """Properties of the tensors of a model.

    Attributes:
        digest: Hex digest (128 bits) of all tensors.
        parameters: Number of parameters.
        dtype: Precision of most parameters.
        tensors: Hex SHA-256 of the bytes of each tensor, by its name.
    """

    digest: str
    parameters: int
    dtype: str
    tensors: Mapping[str, str]


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
    return read_weight_files(weight_files(folder))


def read_weight_files(files: Sequence[Path]) -> Weights:
    """Digest the tensors in files, which are read once as long as they stay the same.

    Raises:
        SpecError: A file is no safetensors file, or damaged.
    """
    return _WEIGHTS.get(files, lambda: compute_weights(files))


def compute_weights(files: Sequence[Path]) -> Weights:
    """Digest the tensors in files from bytes that are read now, whatever the time stamps of the files say.

    Raises:
        SpecError: A file is no safetensors file, or damaged.
    """
    entries = [(path, entry) for path in files for entry in read_entries(path)]
    with ThreadPoolExecutor() as pool:  # a thread hashes fewer bytes a second than a disk reads
        tensors = sorted(pool.map(_read_tensor, *zip(*entries, strict=True)))
    for (name, *_), (next_name, *_) in pairwise(tensors):
        if name == next_name:  # which of the two is loaded depends on the names of the files
            raise SpecError(
                f"Each tensor was expected once in the weights of {files[0].parent}, and {name} is in two files; save"
                " the model again."
            )
    parameters: dict[str, int] = {}  # by dtype
    for _, dtype, shape, _ in tensors:
        parameters[dtype] = parameters.get(dtype, 0) + prod(shape)
    commonest = max(parameters, key=lambda dtype: parameters[dtype])
    names = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}
    digests = {name: digest for name, _, _, digest in tensors}
    readings = [reading for path in files if (reading := _reading_of(path))]
    digest = digest_of([tensors, readings] if readings else tensors)
    return Weights(digest, sum(parameters.values()), names.get(commonest, "float32"), digests)


def weight_files(folder: Path) -> list[Path]:
    """The files that transformers loads.

    These are the file that the configuration names as ``transformers_weights``, or else ``model.safetensors``, or else
    the files that its index names.

    Raises:
        SpecError: There are no weights, files are missing that the configuration or an index names, or these name
            files outside the folder.
    """
    check_layout(folder)
    redirect = _redirect(folder)
    single, index = folder / (redirect or SINGLE), folder / (redirect or WEIGHT_INDEX)
    if single.is_file() and not single.name.endswith(".json"):  # transformers looks in the same order
        return [single]
    if index.is_file():
        return _indexed_files(folder, index)
    others = sorted(file.name for file in folder.glob("*.safetensors"))
    present = f"there is {others[0]} only: name it so, or save the model again" if others else folder_kind(folder)
    raise SpecError(f"Weights were expected as {redirect or SINGLE} in {folder}, and {present}.")


def _redirect(folder: Path) -> str | None:
    """The file of weights that the configuration names, relative to the folder; None if it names none.

    transformers loads that file in place of ``model.safetensors``. Of a configuration with parts it reads the part that
    belongs to the class, so that all of them must name the same.
    """
    config_file = folder / CONFIG
    if not config_file.is_file():
        return None
    config = read_model_json(config_file, "a model's configuration")
    parts = {name: part for name, part in config.items() if isinstance(part, dict)}
    values = [config.get(REDIRECT)]
    values += [part.get(REDIRECT) for name, part in parts.items() if name == "text_config" or REDIRECT in part]
    if all(value is None for value in values):
        return None
    name = values[0]
    if not isinstance(name, str) or any(value != name for value in values) or not _lies_inside(name):
        raise SpecError(
            f"One file of weights in the folder was expected as {REDIRECT} in {config_file}, the same in all of its"
            " parts; remove that key, and save the weights as model.safetensors."
        )
    if not name.endswith((".safetensors", ".safetensors.index.json")):
        raise SpecError(
            f"A safetensors file or its index was expected as {REDIRECT} in {config_file}; remove that key, and save"
            " the weights as model.safetensors."
        )
    return name


def _indexed_files(folder: Path, index: Path) -> list[Path]:
    content = read_model_json(index, "an index of weights")
    weight_map = content.get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map or not isinstance(content.get("metadata"), dict):
        raise SpecError(
            f"An index of weights was expected in {index}, and it lacks weight_map or metadata; save the model again."
        )
    if any(not isinstance(name, str) or not name or name != Path(name).name for name in weight_map.values()):
        raise SpecError(f"Names of files beside it were expected as weight_map in {index}; save the model again.")
    files = [folder / name for name in sorted(set(weight_map.values()))]
    if missing := [file.name for file in files if not is_file(file)]:
        raise SpecError(f"Weights {listed(missing)} were expected in {folder} by its index and are not there.")
    return files


def _lies_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return bool(name) and "\\" not in name and not path.is_absolute() and ".." not in path.parts


def _reading_of(path: Path) -> dict[str, Any]:
    """What a file says of how its tensors are put together, as files of torchao do; empty of any other file."""
    metadata = read_header(path)[0].get("__metadata__")
    return metadata if isinstance(metadata, dict) and READING in metadata else {}


def _read_tensor(path: Path, entry: TensorEntry) -> tuple[str, str, tuple[int, ...], str]:
    """Name, dtype, shape and SHA-256 of the bytes of a tensor in a safetensors file."""
    with path.open("rb", buffering=0) as file:
        file.seek(entry.begin)
        return entry.name, entry.dtype, entry.shape, _digest_bytes(file, entry.end - entry.begin, path)


def _digest_bytes(file: RawIOBase, count: int, path: Path) -> str:
    """SHA-256 of the next bytes of a file. They are not mapped: who cuts a mapped file short ends the process."""
    digest = hashlib.sha256()
    while count:
        if not (chunk := file.read(min(count, CHUNK_BYTES))):
            raise SpecError(f"Weights were expected in {path}, which was cut short while it was read; try again.")
        digest.update(chunk)
        count -= len(chunk)
    return digest.hexdigest()
