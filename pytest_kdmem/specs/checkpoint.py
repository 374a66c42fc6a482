"""Model → folder on disk: found, checked and digested without torch, so that a warm audit loads none."""

from __future__ import annotations

import hashlib
import json
import mmap
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import Any

from pytest_kdmem.base.digests import digest_of
from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.declared import Model

# Change no output of the model, or change it only through what the engine is told (dtype, cache).
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
WEIGHT_INDEX = "model.safetensors.index.json"
FileState = tuple[Path, int, int, int, int]
HUB_PATTERNS = ("*.json", "*.safetensors", "*.model", "*.txt", "*.jinja", "*.py")
PICKLED_ENDINGS = (".bin", ".pt", ".pth", ".ckpt")


@dataclass(frozen=True)
class Checkpoint:
    """What is known of a model before any of it is loaded.

    ``digest`` covers the tensors (names, dtypes, shapes, bytes; not their division into files), the tokenizer, the
    configuration that generation depends on, and modelling code. ``tokenizer_digest`` stands for the vocabulary,
    ``text_digest`` for all that turns text into ids. ``positions`` is None where the architecture has no limit.
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


def open_checkpoint(model: Model, *, offline: bool = False) -> Checkpoint:
    """Find, check and digest a model.

    Raises:
        SpecError: no such folder or hub model, no safetensors weights, or a file in it that is damaged.
    """
    folder = locate(model, offline=offline)
    config = _read_json(folder / "config.json", "a model's configuration")
    inner = config.get("text_config")
    text_config = {**config, **inner} if isinstance(inner, dict) else config
    weights, parameters, stored_dtype = _digest_weights(_weight_states(folder))
    tokenizer_digest = digest_tokenizer(folder)
    text_digest = digest_of([tokenizer_digest, _tokenizer_settings(folder)])
    settings = {key: value for key, value in config.items() if key not in INERT_CONFIG_KEYS}
    code = [(file.name, hashlib.sha256(file.read_bytes()).hexdigest()) for file in sorted(folder.glob("*.py"))]
    architectures = config.get("architectures")
    return Checkpoint(
        folder=folder,
        digest=digest_of([weights, text_digest, settings, code]),
        tokenizer_digest=tokenizer_digest,
        text_digest=text_digest,
        parameters=parameters,
        vocabulary=_whole_number(text_config, ("vocab_size",), folder) or 0,
        positions=_whole_number(text_config, POSITION_KEYS, folder),
        dtype=config.get("dtype") or config.get("torch_dtype") or stored_dtype,
        architecture=str(architectures[0] if isinstance(architectures, list) and architectures else "unknown"),
        quantized="quantization_config" in text_config or (folder / "hf_quant_config.json").is_file(),
    )


def weights_digest(folder: Path) -> str:
    """The first 128 bits, in hex, of a SHA-256 over all tensors of a model folder in order of name.

    It is the same however they are divided into files, and whatever else lies in the folder.

    Raises:
        SpecError: there are no safetensors weights, or they are damaged.
    """
    return _digest_weights(_weight_states(folder))[0]


def locate(model: Model, *, offline: bool = False) -> Path:
    """The model's folder; a hub id is downloaded (safetensors only) unless ``offline``.

    Raises:
        SpecError: there is no such folder, or the hub does not give the model.
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
    """Whether what is no folder can be meant for the hub: ``owner/name``, with no local ``owner/`` beside it."""
    parts = source.split("/")
    plain = all(part and not part.startswith((".", "~")) for part in parts)
    return plain and "\\" not in source and len(parts) == 2 and not Path(parts[0]).exists()


def digest_tokenizer(folder: Path) -> str:
    """Digest of what turns text into ids; ``none`` where the folder holds no tokenizer."""
    files = [folder / name for name in TOKENIZER_FILES if (folder / name).is_file()]
    if not files:
        return "none"
    if files[0].name == "tokenizer.json":
        content = _read_json(files[0], "a tokenizer")
        # Truncation and padding are reset at every call; they are state, not vocabulary.
        return digest_of({key: value for key, value in content.items() if key not in ("truncation", "padding")})
    return digest_of([(file.name, hashlib.sha256(file.read_bytes()).hexdigest()) for file in files])


def _tokenizer_settings(folder: Path) -> dict[str, Any]:
    found = {
        name: _read_json(folder / name, "tokenizer settings")
        for name in TOKENIZER_SETTINGS
        if (folder / name).is_file()
    }
    return {
        name: {key: value for key, value in content.items() if key not in INERT_TOKENIZER_KEYS}
        for name, content in found.items()
    }


def _whole_number(config: dict[str, Any], keys: tuple[str, ...], folder: Path) -> int | None:
    """The first of some settings that is there."""
    for key in keys:
        value = config.get(key)
        if value is not None:
            if isinstance(value, bool) or not isinstance(value, int):
                raise SpecError(f"A whole number was expected as {key} in {folder / 'config.json'}; found {value!r}.")
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


def _weight_states(folder: Path) -> tuple[FileState, ...]:
    return tuple(map(_state_of, weight_files(folder)))


def _state_of(file: Path) -> FileState:
    status = file.stat()
    return file, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


@lru_cache(maxsize=64)  # within one process, where a file of one state is read once
def _digest_weights(files: tuple[FileState, ...]) -> tuple[str, int, str]:
    """Digest over all tensors in order of name, the number of parameters, and the commonest stored dtype."""
    with ThreadPoolExecutor() as pool:
        tensors = sorted(tensor for found in pool.map(_tensors_of, (file for file, *_ in files)) for tensor in found)
    parameters_of: dict[str, int] = {}
    for _, dtype, shape, _ in tensors:
        parameters_of[dtype] = parameters_of.get(dtype, 0) + prod(shape)
    commonest = max(parameters_of, key=lambda dtype: parameters_of[dtype])
    names = {"F32": "float32", "BF16": "bfloat16", "F16": "float16"}
    return digest_of(tensors), sum(parameters_of.values()), names.get(commonest, "float32")


def weight_files(folder: Path) -> list[Path]:
    """Those that transformers loads, whatever lies beside them: ``model.safetensors``, else what its index names.

    Raises:
        SpecError: there are none, or the index names some that are not there.
    """
    whole, index = folder / "model.safetensors", folder / WEIGHT_INDEX
    if (folder / "adapter_config.json").is_file():
        raise SpecError(
            f"A whole model was expected in {folder}, which holds an adapter; merge it into its base first."
        )
    if whole.is_file():  # in the order in which transformers looks
        return [whole]
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


def _tensors_of(path: Path) -> list[tuple[str, str, tuple[int, ...], str]]:
    """(name, dtype, shape, sha256 of the bytes) of each tensor of a safetensors file."""
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
            found = []
            for name, dtype, shape, begin, end in entries:
                if not 0 <= begin <= end <= size - start:
                    raise SpecError(f"Weights were expected in {path}, which is cut short; copy or save it again.")
                digest = hashlib.sha256(view[start + begin : start + end]).hexdigest()
                found.append((name, dtype, shape, digest))
    return found


def _tensor_entry(name: str, entry: dict[str, Any]) -> tuple[str, str, tuple[int, ...], int, int]:
    begin, end = map(int, entry["data_offsets"])
    return name, str(entry["dtype"]), tuple(map(int, entry["shape"])), begin, end


def check_same_tokenizer(digests: Mapping[str, str]) -> None:
    """Raise SpecError unless all models, named by the keys, have one tokenizer."""
    (first, expected), *others = digests.items()
    for name, digest in others:
        if digest != expected:
            raise SpecError(
                f"The same tokenizer was expected of {first} and {name}, and theirs differ; sets of token ids compare"
                " within one tokenizer only."
            )
