"""Checks that a loaded model is the one in its files: nothing is missing, dropped or other than what was digested."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
from safetensors import safe_open
from torch import Tensor, nn
from transformers import PreTrainedModel

from pytest_kdmem.engines.transformers.ignorable import is_ignorable
from pytest_kdmem.errors import EngineError
from pytest_kdmem.specs.checkpoint import Checkpoint
from pytest_kdmem.specs.weights import weight_files

Value = TypeVar("Value")


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
    """Check that a model holds each weight of its files, unchanged, and no other.

    Args:
        model: The loaded model, on the CPU.
        loading_info: What transformers tells of the loading.
        checkpoint: The files.

    Raises:
        EngineError: Weights are missing, have no place in the model, or are others than those in the files.
    """
    if missing := missing_weights(loading_info):
        raise EngineError(
            f"All weights of {checkpoint.architecture} were expected in {checkpoint.folder}; {len(missing)} are missing"
            f" or of another shape (first: {missing[0]}): save the whole model again, or correct its config.json."
        )
    if dropped := dropped_weights(model, loading_info, checkpoint.folder):
        raise EngineError(
            f"A place for every weight in {checkpoint.folder} was expected in {type(model).__name__} by its"
            f" config.json; {len(dropped)} have none and would be dropped (first: {dropped[0]}): correct config.json,"
            " or save the model without them."
        )
    if changed := [] if checkpoint.quantized else _changed_weights(model, checkpoint.folder):
        raise EngineError(
            f"The weights in {checkpoint.folder} were expected in the loaded model, and {len(changed)} of its weights"
            f" are others (first: {changed[0]}); audit it again once it is saved."
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


def _changed_weights(model: PreTrainedModel, folder: Path) -> list[str]:
    """Names of stored tensors that the model holds other values of."""
    places, prefix = model.state_dict(), _prefix(model)
    with ExitStack() as files:
        return [
            name
            for name, tensor in _stored_tensors(weight_files(folder), files).items()
            if (place := _look_up(name, places, prefix)) is not None and not _holds(place, tensor)
        ]


def _stored_tensors(paths: Iterable[Path], files: ExitStack) -> dict[str, StoredTensor]:
    """The tensors in files by their names; the files stay open as long as ``files`` does."""
    opened = [files.enter_context(safe_open(path, framework="pt")) for path in paths]
    return {name: StoredTensor(name, file) for file in opened for name in file.keys()}  # noqa: SIM118 - no mapping


def _prefix(model: PreTrainedModel) -> str:
    return f"{model.base_model_prefix}." if model.base_model_prefix else ""


def _look_up(name: str, tensors: Mapping[str, Value], prefix: str) -> Value | None:
    """The tensor of a name; files of a backbone alone lack the prefix that its name has in a whole model."""
    return next((tensors[same] for same in (name, prefix + name, name.removeprefix(prefix)) if same in tensors), None)


def _holds(place: Tensor, stored: StoredTensor) -> bool:
    """Whether a tensor of the model is the stored one, in the dtype of the model.

    What was converted into another shape cannot be compared.
    """
    if list(place.shape) != stored.file.get_slice(stored.name).get_shape():
        return True
    value = stored.read().to(place.dtype)
    if torch.equal(value, place):
        return True
    return value.is_floating_point() and torch.allclose(value, place, rtol=0.0, atol=0.0, equal_nan=True)
