"""Makes the folder that vLLM loads: the digested files of a checkpoint alone, as it would load others beside them."""

from __future__ import annotations

from pathlib import Path

from pytest_kdmem.specs.checkpoint import Checkpoint
from pytest_kdmem.specs.declared import Model
from pytest_kdmem.specs.weights import WEIGHT_INDEX, weight_files

CONFIG = "config.json"


def save_merged(model: Model, checkpoint: Checkpoint, dtype: str, into: Path) -> None:
    """Save an adapter that is merged into its base as a whole model in a new folder.

    Raises:
        EngineError: The model does not load, or the adapter cannot be merged.
    """
    from transformers import GenerationConfig

    from pytest_kdmem.engines.transformers.loading import load_model
    from pytest_kdmem.engines.transformers.quiet import quiet

    merged = load_model(model, checkpoint, dtype=dtype)
    merged.generation_config = GenerationConfig()  # transformers refuses to write settings that contradict each other
    with quiet():
        merged.save_pretrained(into)


def link_checkpoint(folder: Path, into: Path) -> None:
    """Link a checkpoint's configuration and the weights that transformers loads into a new folder.

    vLLM takes ``consolidated*.safetensors`` if there are any, else every ``*.safetensors`` that no index leaves out:
    averaged weights kept beside the model, or shards of an earlier one. Tokenizer and generation settings are not
    linked, since vLLM should use neither.

    Args:
        folder: The checkpoint.
        into: The folder to make.

    Raises:
        SpecError: The weights are not there.
    """
    files = weight_files(folder)
    if files != [folder / "model.safetensors"]:
        files.append(folder / WEIGHT_INDEX)
    for file in [*files, folder / CONFIG]:
        link = into / file.relative_to(folder)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(file.absolute())
