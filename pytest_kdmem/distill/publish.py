"""A trained model → a folder: bfloat16 safetensors, tokenizer and run card, whole or not at all."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from transformers import GenerationConfig

from pytest_kdmem.base.files import atomic_folder
from pytest_kdmem.distill.process_group import ProcessGroup
from pytest_kdmem.engines.transformers.loading import load_model, quiet
from pytest_kdmem.errors import EngineError
from pytest_kdmem.specs.checkpoint import Checkpoint, weights_digest
from pytest_kdmem.specs.declared import Model
from pytest_kdmem.specs.run_card import RunCard, write_run_card

TOKENIZER_FILES = ("tokenizer", "special_tokens", "added_tokens", "vocab", "merges", "spiece", "chat_template")


def save_trained(
    trained: nn.Module, init: Model, checkpoint: Checkpoint, card: RunCard, out: Path, processes: ProcessGroup
) -> None:
    """Write beside ``out`` and rename, so that a folder of that name is always a whole model.

    All processes call it, because weights may be sharded over them; the first writes.

    Args:
        trained: the model, wrapped or not.
        checkpoint: what it started from: gives configuration and tokenizer.
        card: all but the digest of the weights, which is taken here.
    """
    weights: dict[str, Any] = get_model_state_dict(
        trained, options=StateDictOptions(full_state_dict=True, cpu_offload=True)
    )
    processes.first_only(lambda: _write(weights, init, checkpoint, card, out))


def _write(weights: dict[str, Any], init: Model, checkpoint: Checkpoint, card: RunCard, out: Path) -> None:
    with atomic_folder(out) as partial, quiet():
        # A fresh one, whose configuration says bfloat16 and whose weights nothing has sharded or wrapped.
        model = load_model(init, checkpoint, dtype="bfloat16")
        model.load_state_dict(weights)
        if broken := [name for name, weight in model.state_dict().items() if not weight.isfinite().all()]:
            raise EngineError(
                f"Finite weights were expected, and {broken[0]} has others at the end of the training; lower the"
                " learning rate, or check teacher and initial weights."
            )
        # The start's own goes along as it is: transformers refuses to write one it finds at odds with itself.
        model.generation_config = GenerationConfig()
        model.save_pretrained(partial)
        for file in sorted(checkpoint.folder.iterdir()):
            if file.name.startswith(("generation_config", *TOKENIZER_FILES)) or file.suffix == ".py":
                shutil.copyfile(file, partial / file.name)
        write_run_card(replace(card, weights=weights_digest(partial)), partial)
