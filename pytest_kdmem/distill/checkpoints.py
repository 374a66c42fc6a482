"""Checkpoints of an unfinished training as safetensors and JSON; nothing is pickled.

A checkpoint does not depend on how many processes wrote it or whether they sharded the weights.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, distributed, nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict, set_state_dict
from torch.optim import Optimizer

from pytest_kdmem.base.files import atomic_folder
from pytest_kdmem.errors import DataError

PREFIX = "checkpoint-"
TENSORS_FILE, PROGRESS_FILE, TRAINER_FILE = "state.safetensors", "state.json", "trainer_state.json"
WHOLE_STATE = StateDictOptions(full_state_dict=True, cpu_offload=True, ignore_frozen_params=True)


def write_checkpoint(
    folder: Path, model: nn.Module, optimizer: Optimizer, progress: dict[str, Any], trainer_state: str
) -> None:
    """Write a checkpoint whole or not at all, and delete older ones.

    Every process calls this function, because the weights may be sharded over them; the first one writes.

    Args:
        folder: Folder of the checkpoints.
        model: The model, as DDP or FSDP wrapped it.
        optimizer: Its optimizer.
        progress: JSON values to restore; ``progress["step"]`` is the step that the checkpoint is named by.
        trainer_state: Trainer's own state as JSON.
    """
    states: Any = get_state_dict(model, optimizer, options=WHOLE_STATE)
    weights, optimizer_state = without_frozen(states[0], model), states[1]
    if _is_first_process():
        for abandoned in folder.glob(f".{PREFIX}*.partial"):  # by a process that was killed while it wrote
            shutil.rmtree(abandoned, ignore_errors=True)
        tensors = {f"weights/{name}": _unshared(value) for name, value in weights.items()}
        for parameter, values in optimizer_state["state"].items():
            tensors |= {f"optimizer/{parameter}/{name}": _unshared(value) for name, value in values.items()}
        content = {"progress": progress, "groups": optimizer_state["param_groups"]}
        with atomic_folder(folder / f"{PREFIX}{progress['step']}", overwrite=True) as temporary:
            save_file(tensors, temporary / TENSORS_FILE)
            (temporary / PROGRESS_FILE).write_text(json.dumps(content), encoding="utf-8")
            (temporary / TRAINER_FILE).write_text(trainer_state, encoding="utf-8")
        for older in _checkpoints(folder)[:-1]:
            shutil.rmtree(older, ignore_errors=True)
    if distributed.is_initialized():
        distributed.barrier()


def read_checkpoint(checkpoint: Path, model: nn.Module, optimizer: Optimizer) -> dict[str, Any]:
    """Restore weights and optimizer, and return the progress that was saved with them.

    Raises:
        DataError: The checkpoint is damaged or belongs to another model.
    """
    with _damage_explained(checkpoint):
        tensors = load_file(checkpoint / TENSORS_FILE)
        content = json.loads((checkpoint / PROGRESS_FILE).read_text(encoding="utf-8"))
        weights: dict[str, Any] = {}
        optimizer_state: dict[str, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            if name.startswith("weights/"):
                weights[name.removeprefix("weights/")] = value
            elif name.startswith("optimizer/"):
                parameter, value_name = name.removeprefix("optimizer/").rsplit("/", 1)
                optimizer_state.setdefault(parameter, {})[value_name] = value
        set_state_dict(
            model,
            optimizer,
            model_state_dict=weights,
            optim_state_dict={"state": optimizer_state, "param_groups": content["groups"]},  # type: ignore[dict-item]
            options=WHOLE_STATE,
        )
        progress: dict[str, Any] = content["progress"]
    return progress


def without_frozen(weights: dict[str, Any], model: nn.Module) -> dict[str, Any]:
    """The weights that are trained. Of frozen ones that are tied torch leaves one in what it collects."""
    frozen = {
        name.removeprefix("module.")  # as DDP calls what it wraps
        for name, parameter in model.named_parameters(remove_duplicate=False)
        if not parameter.requires_grad
    }
    return {name: value for name, value in weights.items() if name not in frozen}


def checkpoint_step(checkpoint: Path) -> int:
    """Number of steps trained at a checkpoint.

    Raises:
        DataError: The checkpoint is damaged.
    """
    with _damage_explained(checkpoint):
        return int(json.loads((checkpoint / TRAINER_FILE).read_text(encoding="utf-8"))["global_step"])


def latest_checkpoint(folder: Path) -> Path | None:
    """The newest complete checkpoint; None if there is none."""
    return next(iter(reversed(_checkpoints(folder))), None)


@contextmanager
def _damage_explained(checkpoint: Path) -> Iterator[None]:
    """Raise DataError for whatever fails inside the block while a checkpoint is read."""
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DataError(
            f"The state of an unfinished training was expected in {checkpoint}, which cannot be read ({reason});"
            " delete the folder to train from the beginning."
        ) from error


def _checkpoints(folder: Path) -> list[Path]:
    """Complete checkpoints, the oldest first."""
    paths = [path for path in folder.glob(f"{PREFIX}*") if path.name.removeprefix(PREFIX).isdigit()]
    return sorted(paths, key=lambda path: int(path.name.removeprefix(PREFIX)))


def _is_first_process() -> bool:
    return not distributed.is_initialized() or distributed.get_rank() == 0


def _unshared(value: Any) -> Tensor:
    """A copy in memory of its own: tied weights share memory, which safetensors refuses to write."""
    return torch.as_tensor(value).detach().cpu().clone().contiguous()
