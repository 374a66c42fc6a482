"""A GGUF file is read without torch, and goes with the tokenizer beside it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.checkpoint import open_checkpoint
from pytest_kdmem.specs.declared import Model
from tests.quantized_models import VOCABULARY, train, write_gguf


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    write_gguf("Q8_0")(train(folder / "full", steps=0), folder / "gguf")
    return folder / "gguf"


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "model"))


def test_file_and_folder_are_one_model(folder: Path) -> None:
    checkpoint = open_checkpoint(Model(str(folder)))
    assert checkpoint == open_checkpoint(Model(str(folder / "model.gguf")))
    assert (checkpoint.vocabulary, checkpoint.positions, checkpoint.architecture) == (VOCABULARY, 64, "llama")
    assert checkpoint.parameters > 60_000


def test_another_byte_or_tokenizer_is_another_model(folder: Path) -> None:
    digests = {open_checkpoint(Model(str(folder))).digest}
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}}))
    digests.add(open_checkpoint(Model(str(folder))).digest)
    with (folder / "model.gguf").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x55")
    digests.add(open_checkpoint(Model(str(folder))).digest)
    assert len(digests) == 3


def test_of_several_files_one_must_be_named(folder: Path) -> None:
    shutil.copy(folder / "model.gguf", folder / "other.gguf")
    with pytest.raises(SpecError, match=r"One GGUF file was expected .* 2 \(model.gguf.*other.gguf\); name one"):
        open_checkpoint(Model(str(folder)))
    assert open_checkpoint(Model(str(folder / "other.gguf"))).gguf == folder / "other.gguf"


def test_a_damaged_file_is_told_to_be_so(folder: Path) -> None:
    whole = (folder / "model.gguf").read_bytes()
    for content in (b"GGML" + whole[4:], whole[:100], b""):
        (folder / "model.gguf").write_bytes(content)
        with pytest.raises(SpecError, match="which is no GGUF file, or a damaged one"):
            open_checkpoint(Model(str(folder)))


def test_the_tokenizer_beside_it_must_be_its_own(tmp_path: Path) -> None:
    import numpy as np
    from gguf import GGUFWriter

    writer = GGUFWriter(tmp_path / "model.gguf", "llama")
    writer.add_token_list(["<s>", "a", "b"])
    writer.add_tensor("token_embd.weight", np.zeros((3, 4), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    added = [{"id": 0, "content": "<S>"}]
    for vocabulary, fits in (({"<S>": 0, "a": 1, "b": 2}, True), ({"<S>": 0, "b": 1, "a": 2}, False)):
        content = {"model": {"type": "BPE", "vocab": vocabulary, "merges": []}, "added_tokens": added}
        (tmp_path / "tokenizer.json").write_text(json.dumps(content))
        if fits:
            open_checkpoint(Model(str(tmp_path)))
        else:
            with pytest.raises(SpecError, match=r"token 1 is .*b.* there and .*a.* in the file; copy the tokenizer of"):
                open_checkpoint(Model(str(tmp_path)))


def test_no_framework_is_imported(folder: Path) -> None:
    code = (
        "import sys; from pytest_kdmem.specs.checkpoint import open_checkpoint;"
        f" from pytest_kdmem.specs.declared import Model; open_checkpoint(Model({str(folder)!r}));"
        " sys.exit(bool({'torch', 'transformers'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
