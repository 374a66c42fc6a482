"""Finds, checks and digests the folder of a model without torch, so that an audit with stored scores loads no model."""

from __future__ import annotations

import hashlib
import json
import mmap
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

from pytest_kdmem.base.digests import digest_of, file_digest
from pytest_kdmem.base.file_memory import FileMemory
from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.declared import Model

# Settings that do not change the output of a model, or only through the settings of the engine (dtype, cache).
INERT_CONFIG_KEYS = ("_name_or_path", "transformers_version", "torch_dtype", "dtype", "use_cache")
INERT_TOKENIZER_KEYS = (
    "name_or_path",
    "chat_template",
    "model_max_length",
    "padding_side",
    "truncation_side",
    "is_local",
)
TOKENIZER_SETTINGS = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
POSITION_KEYS = ("max_position_embeddings", "n_positions", "max_seq_len", "n_ctx")
TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "spiece.model", "vocab.json", "merges.txt", "vocab.txt")
CONFIG, QUANTIZATION = "config.json", "hf_quant_config.json"
WEIGHT_INDEX = "model.safetensors.index.json"
HUB_PATTERNS = ("*.json", "*.safetensors", "*.model", "*.txt", "*.jinja", "*.py")
PICKLED_ENDINGS = (".bin", ".pt", ".pth", ".ckpt")


@dataclass(frozen=True)
class Checkpoint:
    """Properties of a model that are read from its files without loading it.

    Attributes:
        folder: Folder that holds the model.
        digest: Digest of the tensors (names, dtypes, shapes and bytes, however they are divided into files), the
            tokenizer, the configuration that generation depends on, and modelling code.
        tokenizer_digest: Digest of the vocabulary.
        text_digest: Digest of everything that turns text into token ids.
        parameters: Number of parameters.
        vocabulary: Number of rows of the embedding.
        positions: Longest sequence in tokens; None if the architecture has no limit.
        dtype: Precision of the checkpoint by its configuration, or else that of most of its parameters.
        architecture: Name of the model class.
        quantized: Whether the weights are quantized.
    """

    folder: Path
    digest: str
    tokenizer_digest: str
    text_digest: str
    parameters: int
    vocabulary: int
    positions: int | None
    dtype: str
    architecture: str
    quantized: bool = False


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


_CHECKPOINTS: FileMemory[Checkpoint] = FileMemory()
_WEIGHTS: FileMemory[Weights] = FileMemory()


def open_checkpoint(model: Model, *, offline: bool = False) -> Checkpoint:
    """Find, check and digest a model.

    Each file is read once, as long as it stays the same: a model can be opened again at the cost of a look at its
    files' states.

    Raises:
        SpecError: There is no such folder or hub model, it has no safetensors weights, or a file in it is damaged.
    """
    folder = locate(model, offline=offline)
    files = [folder / name for name in (CONFIG, QUANTIZATION, *TOKENIZER_SETTINGS, *TOKENIZER_FILES)]
    files = [*(file for file in files if file.is_file()), *sorted(folder.glob("*.py"))]
    if (folder / CONFIG).is_file():  # else it is reported as missing
        files += weight_files(folder)
    return _CHECKPOINTS.get(files, lambda: _read_checkpoint(folder))


def _read_checkpoint(folder: Path) -> Checkpoint:
    config = _read_json(folder / CONFIG, "a model's configuration")
    inner = config.get("text_config")
    text_config = {**config, **inner} if isinstance(inner, dict) else config
    weights = _weights(folder)
    tokenizer_digest = digest_tokenizer(folder)
    text_digest = digest_of([tokenizer_digest, _tokenizer_settings(folder)])
    settings = {key: value for key, value in config.items() if key not in INERT_CONFIG_KEYS}
    code = [(file.name, file_digest(file)) for file in sorted(folder.glob("*.py"))]
    architectures = config.get("architectures")
    return Checkpoint(
        folder=folder,
        digest=digest_of([weights.digest, text_digest, settings, code]),
        tokenizer_digest=tokenizer_digest,
        text_digest=text_digest,
        parameters=weights.parameters,
        vocabulary=_whole_number(text_config, ("vocab_size",), folder) or 0,
        positions=_whole_number(text_config, POSITION_KEYS, folder),
        dtype=config.get("dtype") or config.get("torch_dtype") or weights.dtype,
        architecture=str(architectures[0] if isinstance(architectures, list) and architectures else "unknown"),
        quantized="quantization_config" in text_config or (folder / QUANTIZATION).is_file(),
    )


def weights_digest(folder: Path) -> str:
    """Hex digest (128 bits) of all tensors of a model folder, in order of their names.

    It depends neither on how the tensors are divided into files nor on other files in the folder.

    Raises:
        SpecError: There are no safetensors weights, or they are damaged.
    """
    return _weights(folder).digest


def locate(model: Model, *, offline: bool = False) -> Path:
    """The folder of a model; the model of a hub id is downloaded (safetensors only) unless ``offline``.

    Raises:
        SpecError: There is no such folder, or the model cannot be downloaded.
    """
    folder = Path(model.source).expanduser()
    if folder.is_dir():
        return folder.resolve()
    if not looks_like_hub_id(model.source):
        raise SpecError(f"A model folder was expected at {model.source}, and there is none; check the path.")
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(
                model.source, revision=model.revision, allow_patterns=list(HUB_PATTERNS), local_files_only=offline
            )
        )
    except (OSError, ValueError) as error:
        way_out = "drop --kdmem-offline to download it" if offline else "check the name, the network and your access"
        raise SpecError(
            f"Model {model.source} was expected as a folder or on the hub and was found at neither"
            f" ({type(error).__name__}); {way_out}."
        ) from error


def looks_like_hub_id(source: str) -> bool:
    """Whether a source that is no folder can be a hub id: ``owner/name``, if there is no local folder ``owner``."""
    parts = source.split("/")
    is_plain = all(part and not part.startswith((".", "~")) for part in parts)
    return is_plain and "\\" not in source and len(parts) == 2 and not Path(parts[0]).exists()


def digest_tokenizer(folder: Path) -> str:
    """Digest of the vocabulary of a folder's tokenizer; ``none`` if the folder has no tokenizer."""
    files = [folder / name for name in TOKENIZER_FILES if (folder / name).is_file()]
    if not files:
        return "none"
    if files[0].name == "tokenizer.json":
        content = _read_json(files[0], "a tokenizer")
        # Truncation and padding are state of the last call and do not belong to the vocabulary.
        return digest_of({key: value for key, value in content.items() if key not in ("truncation", "padding")})
    return digest_of([(file.name, file_digest(file)) for file in files])


def _tokenizer_settings(folder: Path) -> dict[str, Any]:
    contents = {
        name: _read_json(folder / name, "tokenizer settings")
        for name in TOKENIZER_SETTINGS
        if (folder / name).is_file()
    }
    return {
        name: {key: value for key, value in content.items() if key not in INERT_TOKENIZER_KEYS}
        for name, content in contents.items()
    }


def _whole_number(config: dict[str, Any], keys: tuple[str, ...], folder: Path) -> int | None:
    """The value of the first of these settings that is in a configuration."""
    for key in keys:
        value = config.get(key)
        if value is not None:
            if isinstance(value, bool) or not isinstance(value, int):
                raise SpecError(f"A whole number was expected as {key} in {folder / CONFIG}; found {value!r}.")
            return value
    return None


def _read_json(path: Path, what: str) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SpecError(f"{what.capitalize()} was expected at {path}, and there is no such file.") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise SpecError(f"{what.capitalize()} was expected in {path}, which is no valid JSON ({error}).") from None
    if not isinstance(content, dict):
        raise SpecError(f"{what.capitalize()} was expected in {path}, which holds no JSON object.")
    return content


def _weights(folder: Path) -> Weights:
    files = weight_files(folder)
    return _WEIGHTS.get(files, lambda: _read_weights(files))


def _read_weights(files: Sequence[Path]) -> Weights:
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
        names = sorted(set(_read_json(index, "an index of weights").get("weight_map", {}).values()))
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


def _read_tensors(path: Path) -> list[tuple[str, str, tuple[int, ...], str]]:
    """Name, dtype, shape and SHA-256 of the bytes of each tensor in a safetensors file."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(8)
        start = 8 + int.from_bytes(head, "little")
        if len(head) < 8 or start > size:
            raise SpecError(f"Weights were expected in {path}, which is cut short; copy or save the model again.")
        try:
            header = json.loads(file.read(start - 8))
            entries = [_tensor_entry(name, entry) for name, entry in header.items() if name != "__metadata__"]
        except (ValueError, TypeError, KeyError, AttributeError):
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
    begin, end = map(int, entry["data_offsets"])
    return name, str(entry["dtype"]), tuple(map(int, entry["shape"])), begin, end


def check_same_tokenizer(digests: Mapping[str, str]) -> None:
    """Raise SpecError unless all models have the same tokenizer digest; the keys name the models."""
    (first, expected), *remaining = digests.items()
    for name, digest in remaining:
        if digest != expected:
            raise SpecError(
                f"The same tokenizer was expected of {first} and {name}, and theirs differ; sets of token ids compare"
                " within one tokenizer only."
            )
