"""Finds, checks and digests the folder of a model without torch, so that an audit with stored scores loads no model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_kdmem.base.digests import digest_of, file_digest
from pytest_kdmem.base.file_memory import FileMemory
from pytest_kdmem.base.paths import exists, is_folder, local_path
from pytest_kdmem.errors import SpecError
from pytest_kdmem.errors.harmless import named, quoted
from pytest_kdmem.specs.declared import Model
from pytest_kdmem.specs.layout import CONFIG, check_layout, check_no_redirects, check_own_code, read_model_json
from pytest_kdmem.specs.tokenizer_content import different_parts, tokenizer_content
from pytest_kdmem.specs.weights import read_weights, weight_files

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
QUANTIZATION = "hf_quant_config.json"
# Names of torch for the floating-point numbers that a configuration may ask for.
DTYPES = frozenset({"float64", "float32", "float16", "bfloat16", "float", "double", "half"})
HUB_ID = re.compile(r"[A-Za-z0-9_][\w.-]{0,95}/[\w][\w.-]{0,95}", re.ASCII)
HUB_PATTERNS = ("*.json", "*.safetensors", "*.model", "*.txt", "*.jinja", "*.py")


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
        weights_digest: Digest of the tensors alone.
        config: The configuration as it stands in its file.
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
    weights_digest: str = ""
    config: Mapping[str, Any] = field(default_factory=dict, hash=False, compare=False, repr=False)


_CHECKPOINTS: FileMemory[Checkpoint] = FileMemory()


def open_checkpoint(model: Model, *, offline: bool = False) -> Checkpoint:
    """Find, check and digest a model.

    Each file is read once, as long as it stays the same: a model can be opened again at the cost of a look at its
    files' states.

    Raises:
        SpecError: There is no such folder or hub model, it has no safetensors weights, or a file in it is damaged.
    """
    folder = locate(model, offline=offline)
    check_layout(folder)
    files = [folder / name for name in (CONFIG, QUANTIZATION, *TOKENIZER_SETTINGS, *TOKENIZER_FILES)]
    files = [*(file for file in files if file.is_file()), *sorted(folder.rglob("*.py"))]
    if (folder / CONFIG).is_file():  # else it is reported as missing
        files += weight_files(folder)
    checkpoint = _CHECKPOINTS.get(files, lambda: _read_checkpoint(folder))
    if model.trust_remote_code:
        check_own_code(checkpoint.config, folder)
    return checkpoint


def _read_checkpoint(folder: Path) -> Checkpoint:
    config = read_model_json(folder / CONFIG, "a model's configuration")
    check_no_redirects(config, folder)
    inner = config.get("text_config")
    text_config = {**config, **inner} if isinstance(inner, dict) else config
    weights = read_weights(folder)
    tokenizer_digest = digest_tokenizer(folder)
    text_digest = digest_of([tokenizer_digest, _tokenizer_settings(folder)])
    settings = {key: value for key, value in config.items() if key not in INERT_CONFIG_KEYS}
    code = [(str(file.relative_to(folder)), file_digest(file)) for file in sorted(folder.rglob("*.py"))]
    architectures = config.get("architectures")
    return Checkpoint(
        folder=folder,
        digest=digest_of([weights.digest, text_digest, settings, code]),
        tokenizer_digest=tokenizer_digest,
        text_digest=text_digest,
        parameters=weights.parameters,
        vocabulary=_whole_number(text_config, ("vocab_size",), folder) or 0,
        positions=_whole_number(text_config, POSITION_KEYS, folder),
        dtype=_dtype(config, folder) or weights.dtype,
        architecture=str(architectures[0] if isinstance(architectures, list) and architectures else "unknown"),
        quantized="quantization_config" in text_config or (folder / QUANTIZATION).is_file(),
        weights_digest=weights.digest,
        config=config,
    )


def _dtype(config: Mapping[str, Any], folder: Path) -> str | None:
    """The dtype that a configuration names; None if it names none, or one for each of its parts.

    Raises:
        SpecError: It is none of torch's.
    """
    value = config.get("dtype") or config.get("torch_dtype")
    if value is None or value == "auto" or isinstance(value, dict):
        return None
    if not isinstance(value, str) or value not in DTYPES:
        raise SpecError(
            f"One of {', '.join(sorted(DTYPES))} was expected as dtype in {folder / CONFIG}; found {value!r}."
        )
    return str(value)


def locate(model: Model, *, offline: bool = False) -> Path:
    """The folder of a model; the model of a hub id is downloaded (safetensors only) unless ``offline``.

    Raises:
        SpecError: There is no such folder, or the model cannot be downloaded.
    """
    folder = local_path(model.source)
    if is_folder(folder):
        return folder.resolve()
    if not looks_like_hub_id(model.source):
        raise SpecError(f"A model folder was expected at {named(model.source)}, and there is none; check the path.")
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
    return HUB_ID.fullmatch(source) is not None and not exists(Path(source.partition("/")[0]))


def digest_tokenizer(folder: Path) -> str:
    """Digest of the vocabulary of a folder's tokenizer; ``none`` if the folder has no tokenizer."""
    files = [folder / name for name in TOKENIZER_FILES if (folder / name).is_file()]
    if not files:
        return "none"
    if files[0].name == "tokenizer.json":
        content = read_model_json(files[0], "a tokenizer")
        # Truncation and padding are state of the last call and do not belong to the vocabulary.
        return digest_of({key: value for key, value in content.items() if key not in ("truncation", "padding")})
    return digest_of([(file.name, file_digest(file)) for file in files])


def _tokenizer_settings(folder: Path) -> dict[str, Any]:
    contents = {
        name: read_model_json(folder / name, "tokenizer settings")
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
                raise SpecError(f"A whole number was expected as {key} in {folder / CONFIG}; found {quoted(value)}.")
            return value
    return None


def check_same_tokenizer(checkpoints: Mapping[str, Checkpoint]) -> None:
    """Raise SpecError unless all models have the same tokenizer, in whatever form; the keys name the models."""
    (first, expected), *remaining = checkpoints.items()
    for name, checkpoint in remaining:
        if differing := different_tokenizers(expected, checkpoint):
            raise SpecError(
                f"The same tokenizer was expected of {first} and {name}, and theirs differ ({differing}); sets of token"
                " ids compare within one tokenizer only."
            )


def different_tokenizers(first: Checkpoint, second: Checkpoint) -> str:
    """What differs in the tokenizers of two models, in words; "" if they make the same token ids of any text."""
    if first.tokenizer_digest == second.tokenizer_digest:
        return ""
    contents = [tokenizer_content(checkpoint.folder) for checkpoint in (first, second)]
    if contents[0] is None or contents[1] is None:
        return "files"
    return ", ".join(different_parts(contents[0], contents[1]))
