"""A folder of links to those files of a checkpoint that were digested: vLLM would load others that lie beside them."""

from __future__ import annotations

from pathlib import Path

from pytest_kdmem.specs.weights import WEIGHT_INDEX, weight_files

CONFIG = "config.json"


def link_checkpoint(folder: Path, into: Path) -> None:
    """Link a checkpoint's configuration and just the weights that transformers loads, in a folder that is made.

    vLLM takes ``consolidated*.safetensors`` if there are any, else every ``*.safetensors`` that no index leaves out:
    averaged weights kept beside the model, or shards of an earlier one. Tokenizer and generation settings are not
    linked, as vLLM is to use neither.

    Raises:
        SpecError: the weights are not there.
    """
    files = weight_files(folder)
    if files != [folder / "model.safetensors"]:
        files.append(folder / WEIGHT_INDEX)
    for file in [*files, folder / CONFIG]:
        link = into / file.relative_to(folder)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(file.absolute())
