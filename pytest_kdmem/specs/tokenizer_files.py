"""Finds and digests the files of a model folder's tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pytest_kdmem.base.digests import digest_of, file_digest
from pytest_kdmem.specs.layout import read_model_json

INERT_TOKENIZER_KEYS = (
    "name_or_path",
    "chat_template",
    "model_max_length",
    "padding_side",
    "truncation_side",
    "is_local",
)
TOKENIZER_SETTINGS = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "spiece.model", "vocab.json", "merges.txt", "vocab.txt")


def tokenizer_files(folder: Path) -> list[Path]:
    """The files of a folder that turn text into token ids."""
    return [file for name in (*TOKENIZER_SETTINGS, *TOKENIZER_FILES) if (file := folder / name).is_file()]


def has_tokenizer(folder: Path) -> bool:
    """Whether a folder has the files of a tokenizer."""
    return any((folder / name).is_file() for name in TOKENIZER_FILES)


def digest_tokenizer(folder: Path) -> str:
    """Digest of the vocabulary of a folder's tokenizer; ``none`` if the folder has no tokenizer."""
    files = [folder / name for name in TOKENIZER_FILES if (folder / name).is_file()]
    if not files:
        return "none"
    if files[0].name == "tokenizer.json":
        content = read_model_json(files[0], "a tokenizer")
        # Truncation and padding are state of the last call and do not belong to the vocabulary.
        return digest_of({key: value for key, value in content.items() if key not in ("truncation", "padding")})
    return digest_of([(file.name, file_digest(file)) for file in files])


def text_digest(folder: Path) -> str:
    """Digest of everything in a folder that turns text into token ids."""
    return digest_of([digest_tokenizer(folder), _settings(folder)])


def _settings(folder: Path) -> dict[str, Any]:
    """The settings beside a tokenizer that decide token ids, by file and key."""
    contents = {
        name: read_model_json(folder / name, "tokenizer settings")
        for name in TOKENIZER_SETTINGS
        if (folder / name).is_file()
    }
    return {
        name: {key: value for key, value in content.items() if key not in INERT_TOKENIZER_KEYS}
        for name, content in contents.items()
    }
