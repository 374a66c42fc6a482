"""Links the digested files of a checkpoint into a folder of their own, since vLLM would load others beside them."""

from __future__ import annotations

from pathlib import Path

from pytest_kdmem.specs.weights import WEIGHT_INDEX, weight_files

CONFIG = "config.json"


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
