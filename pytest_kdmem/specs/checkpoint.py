"""Finds, checks and digests the folder of a model without torch, so that an audit with stored scores loads no model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pytest_kdmem.base.digests import digest_of, file_digest
from pytest_kdmem.base.file_memory import FileMemory
from pytest_kdmem.errors import DataError, SpecError
from pytest_kdmem.specs.adapter import Adapter, merged_digest, read_adapter
from pytest_kdmem.specs.declared import Model
from pytest_kdmem.specs.gguf import find_gguf, read_gguf
from pytest_kdmem.specs.layout import (
    ADAPTER_CONFIG,
    CONFIG,
    check_layout,
    check_no_redirects,
    check_own_code,
    read_model_json,
)
from pytest_kdmem.specs.locations import locate
from pytest_kdmem.specs.model_settings import declared_dtype, first_whole_number
from pytest_kdmem.specs.positions import positions_by_config, text_config_of
from pytest_kdmem.specs.quantization import GGUF, MODELOPT_FILE, Quantization, read_quantization
from pytest_kdmem.specs.quantized_parameters import count_parameters
from pytest_kdmem.specs.run_card import FILE_NAME, read_run_card
from pytest_kdmem.specs.tokenizer_files import digest_tokenizer, has_tokenizer, text_digest, tokenizer_files
from pytest_kdmem.specs.weights import compute_weights, read_weights, weight_files

# Settings that do not change the output of a model, or only through the settings of the engine (dtype, cache).
INERT_CONFIG_KEYS = ("_name_or_path", "transformers_version", "torch_dtype", "dtype", "use_cache")


@dataclass(frozen=True)
class Checkpoint:
    """Properties of a model that are read from its files without loading it.

    Attributes:
        folder: Folder that holds the model, or the adapter.
        digest: Digest of the tensors (names, dtypes, shapes and bytes, however they are divided into files), the
            tokenizer, the configuration that generation depends on, and modelling code.
        tokenizer_digest: Digest of the vocabulary.
        text_digest: Digest of everything that turns text into token ids.
        parameters: Number of parameters; of a quantized model, of those that its weights stand for.
        vocabulary: Number of rows of the embedding.
        positions: Longest sequence in tokens; None if the architecture has no limit.
        dtype: Precision of the checkpoint by its configuration, or else that of most of its parameters.
        architecture: Name of the model class.
        quantization: How the weights are quantized; None if they are not.
        weights_digest: Digest of the tensors alone.
        config: The configuration as it stands in its file.
        gguf: File of a model in GGUF, in the folder; None of safetensors.
        base: The model that an adapter is merged into; None of a whole model.
        base_source: That model as declared, or as the adapter names it; empty of a whole model.
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
    quantization: Quantization | None = None
    weights_digest: str = ""
    config: Mapping[str, Any] = field(default_factory=dict, hash=False, compare=False, repr=False)
    gguf: Path | None = None
    base: Checkpoint | None = field(default=None, hash=False, compare=False, repr=False)
    base_source: str = ""

    @property
    def weights_folder(self) -> Path:
        """Folder of the configuration, and of all weights but those of an adapter."""
        return self.folder if self.base is None else self.base.folder

    @property
    def text_folder(self) -> Path:
        """Folder of the tokenizer: that of an adapter which has one of its own, else that of the weights."""
        return self.folder if self.base is None or has_tokenizer(self.folder) else self.base.folder

    def adapter(self) -> Adapter | None:
        """The adapter that is merged into the base; None of a whole model."""
        return read_adapter(self.folder) if self.base is not None else None

    def weights_digest_again(self) -> str:
        """The digest of the tensors from bytes that are read now, whatever the time stamps of the files say.

        Raises:
            SpecError: The weights are no longer there, or damaged.
        """
        if self.base is None:
            return file_digest(self.gguf) if self.gguf else compute_weights(weight_files(self.folder)).digest
        adapter = read_adapter(self.folder)
        if adapter is None:
            raise SpecError(f"An adapter was expected in {self.folder}, and it is no longer there.")
        tensors = compute_weights([adapter.weight_file]).digest
        return merged_digest(self.base.weights_digest_again(), adapter.digest(tensors))


_CHECKPOINTS: FileMemory[Checkpoint] = FileMemory()


def open_checkpoint(model: Model, *, offline: bool = False) -> Checkpoint:
    """Find, check and digest a model.

    Each file is read once, as long as it stays the same: a model can be opened again at the cost of a look at its
    files' states.

    Raises:
        SpecError: There is no such folder or hub model, it has no safetensors weights, or a file in it is damaged.
    """
    folder = locate(model, offline=offline)
    adapter = read_adapter(folder)
    if adapter is None:
        if model.base is not None:
            raise SpecError(
                f"An adapter was expected in {folder}, as model {model.source} declares a base; leave the base out for"
                " a whole model."
            )
        return _open_whole(folder, model)
    source = _base_source(adapter, model)
    base = _open_whole(_locate_base(source, adapter, model, offline=offline), model)
    files = [adapter.folder / ADAPTER_CONFIG, adapter.weight_file, *tokenizer_files(folder)]
    files += _files_of_whole(base.folder, base.gguf)
    merged = _CHECKPOINTS.get(files, lambda: _with_adapter(base, adapter, source))
    _check_trained_on(merged, base)
    return merged


def _open_whole(folder: Path, model: Model) -> Checkpoint:
    if (gguf := find_gguf(folder)) is not None:
        return _CHECKPOINTS.get(_files_of_whole(gguf.parent, gguf), lambda: _read_gguf_checkpoint(gguf))
    check_layout(folder)
    checkpoint = _CHECKPOINTS.get(_files_of_whole(folder), lambda: _read_checkpoint(folder))
    if model.trust_remote_code:
        check_own_code(checkpoint.config, folder)
    return checkpoint


def _files_of_whole(folder: Path, gguf: Path | None = None) -> list[Path]:
    """All files that the properties of a whole model depend on."""
    if gguf is not None:
        return [gguf, *tokenizer_files(folder)]
    files = [file for name in (CONFIG, MODELOPT_FILE) if (file := folder / name).is_file()]
    files += [*tokenizer_files(folder), *sorted(folder.rglob("*.py"))]
    if (folder / CONFIG).is_file():  # else it is reported as missing
        files += weight_files(folder)
    return files


def _base_source(adapter: Adapter, model: Model) -> str:
    """The source of an adapter's base, as declared or else as the adapter names it."""
    if (source := model.base or adapter.base) is None:
        raise SpecError(
            f"A base was expected of the adapter in {adapter.folder}, and its {ADAPTER_CONFIG} names none; name it by"
            " Model(…, base=…) or an option --…-base."
        )
    return source


def _locate_base(source: str, adapter: Adapter, model: Model, *, offline: bool) -> Path:
    """The folder of an adapter's base."""
    try:
        return locate(Model(source, revision=None if model.base else adapter.revision), offline=offline)
    except SpecError as error:
        raise SpecError(
            f"The base of the adapter in {adapter.folder} was expected: {str(error).rstrip('.')}; or name another place"
            " by Model(…, base=…) or an option --…-base."
        ) from error


def _with_adapter(base: Checkpoint, adapter: Adapter, source: str) -> Checkpoint:
    """The properties of a base with an adapter merged into it."""
    weights = adapter.read_weights()
    digest = merged_digest(base.weights_digest, adapter.digest(weights.digest))
    merged = replace(base, folder=adapter.folder, base=base, base_source=source, weights_digest=digest)
    if merged.text_folder == adapter.folder:
        merged = replace(
            merged, tokenizer_digest=digest_tokenizer(adapter.folder), text_digest=text_digest(adapter.folder)
        )
    return replace(
        merged,
        digest=digest_of([base.digest, digest, merged.text_digest]),
        vocabulary=max([base.vocabulary, *adapter.embedding_rows()]),
    )


def _check_trained_on(merged: Checkpoint, base: Checkpoint) -> None:
    """Raise SpecError if the run card beside an adapter tells that it was trained on another base."""
    try:
        card = read_run_card(merged.folder)
    except DataError:
        return  # audits warn of a card that cannot be read
    # A card of other weights whose base is this one lies beside an adapter that was trained again.
    if card is None or merged.weights_digest == card.weights or base.digest == card.init.digest:
        return
    raise SpecError(
        f"According to its run card, the adapter in {merged.folder} was trained on a base with digest"
        f" {card.init.digest[:8]}…, and {base.folder} has {base.digest[:8]}…; name that"
        f" base by Model(…, base=…) or an option --…-base, or delete {FILE_NAME} if it is of another training."
    )


def _read_checkpoint(folder: Path) -> Checkpoint:
    config = read_model_json(folder / CONFIG, "a model's configuration")
    check_no_redirects(config, folder)
    weights, text = read_weights(folder), text_digest(folder)
    settings = {key: value for key, value in config.items() if key not in INERT_CONFIG_KEYS}
    code = [(str(file.relative_to(folder)), file_digest(file)) for file in sorted(folder.rglob("*.py"))]
    architectures, quantization = config.get("architectures"), read_quantization(config, folder)
    return Checkpoint(
        folder=folder,
        digest=digest_of([weights.digest, text, settings, code]),
        tokenizer_digest=digest_tokenizer(folder),
        text_digest=text,
        parameters=count_parameters(weight_files(folder), config) if quantization else weights.parameters,
        vocabulary=first_whole_number(text_config_of(config), ("vocab_size",), folder) or 0,
        positions=positions_by_config(config, folder),
        dtype=declared_dtype(config, folder) or weights.dtype,
        architecture=str(architectures[0] if isinstance(architectures, list) and architectures else "unknown"),
        quantization=quantization,
        weights_digest=weights.digest,
        config=config,
    )


def _read_gguf_checkpoint(file: Path) -> Checkpoint:
    folder, header = file.parent, read_gguf(file)
    weights, text = file_digest(file), text_digest(folder)
    return Checkpoint(
        folder=folder,
        digest=digest_of([weights, text]),
        tokenizer_digest=digest_tokenizer(folder),
        text_digest=text,
        parameters=header.parameters,
        vocabulary=header.vocabulary,
        positions=header.positions,
        dtype="float32",
        architecture=header.architecture,
        quantization=Quantization(GGUF),
        weights_digest=weights,
        gguf=file,
    )
