"""Checks that a loaded model is the one in its files: nothing is missing, dropped or other than what was digested."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
from safetensors import safe_open
from torch import Tensor, nn
from transformers import PreTrainedModel

from pytest_kdmem.engines.protocol import files_changed
from pytest_kdmem.engines.transformers.ignorable import is_ignorable
from pytest_kdmem.errors import EngineError
from pytest_kdmem.specs.checkpoint import Checkpoint
from pytest_kdmem.specs.weights import read_weights, weight_files

Value = TypeVar("Value")
# Names of dtypes in safetensors files that a weight may be cast to without a change, if it was cast from them.
STORED_DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}

# Weights that are digested at once: one may be cast for it, which takes memory.
DIGESTED_AT_ONCE = 4


class StoredTensor(NamedTuple):
    """A tensor in a file, read when it is asked for."""

    name: str
    file: Any

    def read(self) -> Tensor:
        value: Tensor = self.file.get_tensor(self.name)
        return value


def missing_weights(loading_info: dict[str, Any]) -> list[str]:
    """Names of weights that the checkpoint lacks or has in another shape, from the loading info of transformers.

    transformers fills these with random numbers, and a random model recites nothing.
    """
    return sorted(loading_info["missing_keys"]) + sorted(str(key[0]) for key in loading_info["mismatched_keys"])


def own_weights(model: nn.Module) -> None:
    """Copy weights that lie on the CPU into memory of this process, one after another.

    Where stored and computing dtype agree, loaded weights are a memory map of their file, and who writes to the file
    changes the model while it runs.
    """
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.device.type == "cpu":
            tensor.data = tensor.data.clone()


def check_loaded(model: PreTrainedModel, loading_info: dict[str, Any], checkpoint: Checkpoint) -> None:
    """Check that a model holds each weight of its files, as it was digested, and no other.

    Args:
        model: The loaded model, on the CPU.
        loading_info: What transformers tells of the loading.
        checkpoint: The files.

    Raises:
        EngineError: Weights are missing, have no place in the model, or are others than those that were digested.
    """
    folder = checkpoint.folder
    if missing := missing_weights(loading_info):
        raise EngineError(
            f"All weights of {checkpoint.architecture} were expected in {folder}; {len(missing)} are missing"
            f" or of another shape (first: {missing[0]}): save the whole model again, or correct its config.json."
        )
    if checkpoint.gguf is not None:
        from pytest_kdmem.engines.transformers.gguf_contents import passed_over

        dropped = sorted(loading_info["unexpected_keys"]) or passed_over(model, checkpoint.gguf)
    else:
        dropped = dropped_weights(model, loading_info, folder)
    if dropped:
        raise EngineError(
            f"A place for every weight in {folder} was expected in {type(model).__name__} by its"
            f" config.json; {len(dropped)} have none and would be dropped (first: {dropped[0]}): correct config.json,"
            " or save the model without them."
        )
    if checkpoint.gguf is not None and checkpoint.weights_digest_again() != checkpoint.weights_digest:
        raise files_changed(str(checkpoint.gguf))
    if checkpoint.gguf is None and (changed := _changed_weights(model, checkpoint)):
        raise EngineError(
            f"The weights in {folder} were expected in the loaded model, and {len(changed)} of its weights differ"
            f" (first: {changed[0]}); audit it again once it is saved."
        )


def dropped_weights(model: PreTrainedModel, loading_info: dict[str, Any], folder: Path) -> list[str]:
    """Names of stored tensors that the model has no place for and cannot do without.

    transformers does not report those whose names a class or a list of old names leaves out.
    """
    places, prefix = model.state_dict(), _prefix(model)
    patterns = [*(model._keys_to_ignore_on_load_unexpected or ()), r"rotary_emb\.inv_freq", r"(^|\.)position_ids$"]
    left_out = re.compile("|".join(f"({pattern})" for pattern in patterns))
    with ExitStack() as files:
        stored = _stored_tensors(weight_files(folder), files)
        unexpected = {name for name in stored if left_out.search(name) and _look_up(name, places, prefix) is None}
        return sorted(
            name
            for name in unexpected | loading_info["unexpected_keys"]
            if (tensor := _look_up(name, stored, prefix)) is None or not is_ignorable(tensor, model, stored)
        )


def has_head_of_its_own(model: PreTrainedModel, folder: Path) -> bool:
    """Whether the files hold another head than the embedding that the configuration ties it to.

    transformers runs such a head, and vLLM the embedding.
    """
    if not model.config.get_text_config().tie_word_embeddings:
        return False
    names = {module: name for name, module in model.named_modules()}
    tied = [f"{names[part]}.weight" for part in (model.get_input_embeddings(), model.get_output_embeddings())]
    with ExitStack() as files:
        stored = _stored_tensors(weight_files(folder), files)
        embedding, head = (_look_up(name, stored, _prefix(model)) for name in tied)
        return embedding is not None and head is not None and not torch.equal(embedding.read(), head.read())


def _changed_weights(model: PreTrainedModel, checkpoint: Checkpoint) -> list[str]:
    """Names of stored tensors that the model holds other values of.

    Digests of what is in memory are compared with those of the files. Only tensors that are held in another form, as
    quantized ones are, are read again. Of a quantized model, weights and biases that are stored as plain numbers are
    compared.

    Raises:
        EngineError: The files are no longer those that were digested.
    """
    weights = read_weights(checkpoint.folder)
    if weights.digest != checkpoint.weights_digest:
        raise files_changed(str(checkpoint.folder))
    places, prefix = model.state_dict(), _prefix(model)
    changed = []
    with ExitStack() as files, ThreadPoolExecutor(DIGESTED_AT_ONCE) as pool:
        stored = _stored_tensors(weight_files(checkpoint.folder), files)
        held = {name: _look_up(name, places, prefix) for name in stored}
        if checkpoint.quantization is not None:
            held = {name: place if _is_plain_weight(stored[name]) else None for name, place in held.items()}
        dtypes = [_stored_dtype(held[name], tensor) for name, tensor in stored.items()]
        in_memory = pool.map(_digest_in, held.values(), dtypes)
        for (name, place), digest in zip(held.items(), in_memory, strict=True):
            if digest == weights.tensors.get(name):
                continue
            value = stored[name].read()
            if digest_tensor(value) != weights.tensors.get(name):
                raise files_changed(str(checkpoint.folder))
            if not _holds(place, value):
                changed.append(name)
    return changed


def _stored_tensors(paths: Iterable[Path], files: ExitStack) -> dict[str, StoredTensor]:
    """The tensors in files by their names; the files stay open as long as ``files`` does."""
    opened = [files.enter_context(safe_open(path, framework="pt")) for path in paths]
    return {name: StoredTensor(name, file) for file in opened for name in file.keys()}  # noqa: SIM118 - no mapping


def _prefix(model: PreTrainedModel) -> str:
    return f"{model.base_model_prefix}." if model.base_model_prefix else ""


def _look_up(name: str, tensors: Mapping[str, Value], prefix: str) -> Value | None:
    """The tensor of a name; files of a backbone alone lack the prefix that its name has in a whole model."""
    return next((tensors[same] for same in (name, prefix + name, name.removeprefix(prefix)) if same in tensors), None)


def _stored_dtype(place: Tensor | None, stored: StoredTensor) -> torch.dtype | None:
    """Dtype in which a tensor of the model has the bytes of the stored one; None if it is held in another form."""
    described = stored.file.get_slice(stored.name)
    if place is None or not place.is_floating_point() or list(place.shape) != described.get_shape():
        return None
    return STORED_DTYPES.get(described.get_dtype())


def _is_plain_weight(stored: StoredTensor) -> bool:
    """Whether a tensor of a quantized model is a weight or bias in plain numbers, which the model must hold as such."""
    is_plain = stored.file.get_slice(stored.name).get_dtype() in STORED_DTYPES
    return is_plain and stored.name.rpartition(".")[2] in ("weight", "bias")


def _digest_in(place: Tensor | None, dtype: torch.dtype | None) -> str | None:
    return None if place is None or dtype is None else digest_tensor(place.to(dtype))


def digest_tensor(value: Tensor) -> str:
    """Hex SHA-256 of a tensor's bytes, as they lie in a file."""
    content = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    return hashlib.sha256(content.numpy().data).hexdigest()


def _holds(place: Tensor | None, value: Tensor) -> bool:
    """Whether a tensor of the model is the stored one, in the dtype of the model.

    What has no place was looked at before, and what was converted into another shape cannot be compared.
    """
    if place is None or place.shape != value.shape:
        return True
    if value.is_floating_point() and not place.is_floating_point():
        return False
    value, place = value.to(place.dtype), place.cpu()
    if torch.equal(value, place):
        return True
    return value.is_floating_point() and torch.allclose(value, place, rtol=0.0, atol=0.0, equal_nan=True)
