"""Digests of tokenizers change with what decides token ids, and with nothing else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_kdmem.specs.tokenizer_files import digest_tokenizer, has_tokenizer, text_digest, tokenizer_files


def change_json(file: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(file.read_text(encoding="utf-8"))
    change(content)
    file.write_text(json.dumps(content), encoding="utf-8")


@pytest.fixture
def folder(tiny: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny, tmp_path / "model"))


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: change_json(folder / "tokenizer.json", lambda content: content.update(padding={"length": 3})),
        lambda folder: change_json(folder / "tokenizer.json", lambda content: content.update(truncation=None)),
        lambda folder: change_json(
            folder / "tokenizer_config.json", lambda content: content.update(model_max_length=7, padding_side="left")
        ),
        lambda folder: change_json(folder / "tokenizer_config.json", lambda content: content.update(chat_template="x")),
        lambda folder: (folder / "config.json").unlink(),
        lambda folder: change_json(folder / "tokenizer.json", lambda _content: None),  # other white space
    ],
    ids=["padding", "truncation", "settings of a call", "chat template", "the model's configuration", "white space"],
)
def test_what_decides_no_token_id_changes_no_digest(folder: Path, change: Callable[[Path], object]) -> None:
    before = digest_tokenizer(folder), text_digest(folder)
    change(folder)
    assert (digest_tokenizer(folder), text_digest(folder)) == before


def test_another_vocabulary_is_another_tokenizer(folder: Path) -> None:
    before = digest_tokenizer(folder), text_digest(folder)
    change_json(folder / "tokenizer.json", lambda content: content["model"]["merges"].pop())
    after = digest_tokenizer(folder), text_digest(folder)
    assert [first == second for first, second in zip(before, after, strict=True)] == [False, False]


def test_settings_beside_it_decide_token_ids_and_belong_to_no_vocabulary(folder: Path) -> None:
    before = digest_tokenizer(folder), text_digest(folder)
    change_json(folder / "tokenizer_config.json", lambda content: content.update(add_bos_token=True))
    assert digest_tokenizer(folder) == before[0]
    assert text_digest(folder) != before[1]


def test_a_folder_without_a_vocabulary_has_no_tokenizer(folder: Path) -> None:
    assert has_tokenizer(folder)
    (folder / "tokenizer.json").unlink()
    assert [file.name for file in tokenizer_files(folder)] == ["tokenizer_config.json"]
    assert not has_tokenizer(folder)
    assert digest_tokenizer(folder) == "none"


def test_files_of_older_tokenizers_count_by_name_and_bytes(tmp_path: Path) -> None:
    digests = set()
    for names in (("vocab.json", "merges.txt"), ("vocab.json",), ("vocab.txt",)):
        folder = tmp_path / "-".join(names)
        folder.mkdir()
        for name in names:
            (folder / name).write_bytes(b"a b")
        assert has_tokenizer(folder)
        digests.add(digest_tokenizer(folder))
        (folder / names[-1]).write_bytes(b"a c")
        digests.add(digest_tokenizer(folder))
    assert len(digests) == 6
