"""The state of an unfinished training ↔ a folder: safetensors and JSON, nothing pickled.

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
TENSORS, SETTINGS, STATE = "state.safetensors", "state.json", "trainer_state.json"
WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True)


def write_checkpoint(
    folder: Path, model: nn.Module, optimizer: Optimizer, progress: dict[str, Any], trainer_state: str
) -> None:
    """Write weights, optimizer and ``progress`` of step ``progress["step"]``; all processes call it, the first writes.

    It appears whole or not at all, and older ones go.
    """
    states: Any = get_state_dict(model, optimizer, options=WHOLE)
    weights, optimizer_state = states
    if _is_first():
        for abandoned in folder.glob(f".{PREFIX}*.partial"):  # a process that was killed while it wrote
            shutil.rmtree(abandoned, ignore_errors=True)
        tensors = {f"weights/{name}": _owned(value) for name, value in weights.items()}
        for parameter, values in optimizer_state["state"].items():
            tensors |= {f"optimizer/{parameter}/{name}": _owned(value) for name, value in values.items()}
        content = {"progress": progress, "groups": optimizer_state["param_groups"]}
        with atomic_folder(folder / f"{PREFIX}{progress['step']}", overwrite=True) as partial:
            save_file(tensors, partial / TENSORS)
            (partial / SETTINGS).write_text(json.dumps(content), encoding="utf-8")
            (partial / STATE).write_text(trainer_state, encoding="utf-8")
        for old in _all_checkpoints(folder)[:-1]:
            shutil.rmtree(old, ignore_errors=True)
    if distributed.is_initialized():
        distributed.barrier()


def read_checkpoint(checkpoint: Path, model: nn.Module, optimizer: Optimizer) -> dict[str, Any]:
    """Put weights and optimizer back, and give the progress that was saved with them.

    Raises:
        DataError: the checkpoint is damaged or of another model.
    """
    with _told_if_damaged(checkpoint):
        tensors = load_file(checkpoint / TENSORS)
        content = json.loads((checkpoint / SETTINGS).read_text(encoding="utf-8"))
        state: dict[str, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            if name.startswith("optimizer/"):
                parameter, part = name.removeprefix("optimizer/").rsplit("/", 1)
                state.setdefault(parameter, {})[part] = value
        set_state_dict(
            model,
            optimizer,
            model_state_dict={
                name.removeprefix("weights/"): value for name, value in tensors.items() if name.startswith("weights/")
            },
            optim_state_dict={"state": state, "param_groups": content["groups"]},  # type: ignore[dict-item]
            options=WHOLE,
        )
        progress: dict[str, Any] = content["progress"]
    return progress


def step_of(checkpoint: Path) -> int:
    """Steps done at a checkpoint.

    Raises:
        DataError: the checkpoint is damaged.
    """
    with _told_if_damaged(checkpoint):
        return int(json.loads((checkpoint / STATE).read_text(encoding="utf-8"))["global_step"])


def latest_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint, or None."""
    return next(iter(reversed(_all_checkpoints(folder))), None)


@contextmanager
def _told_if_damaged(checkpoint: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise DataError(
            f"The state of an unfinished training was expected in {checkpoint}, which cannot be read ({reason});"
            " delete the folder to train from the beginning."
        ) from error


def _all_checkpoints(folder: Path) -> list[Path]:
    found = [path for path in folder.glob(f"{PREFIX}*") if path.name.removeprefix(PREFIX).isdigit()]
    return sorted(found, key=lambda path: int(path.name.removeprefix(PREFIX)))


def _is_first() -> bool:
    return not distributed.is_initialized() or distributed.get_rank() == 0


def _owned(value: Any) -> Tensor:
    """A tensor of its own: tied weights share memory, which safetensors refuses."""
    return torch.as_tensor(value).detach().cpu().clone().contiguous()
