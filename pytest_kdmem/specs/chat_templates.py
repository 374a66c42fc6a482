"""Reads the chat templates of a folder's tokenizer, as transformers does, and digests them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_kdmem.base.digests import digest_of
from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.layout import read_model_json
from pytest_kdmem.specs.tokenizer_files import TOKENIZER_SETTINGS

# Name of the template that is used unless another is asked for.
DEFAULT = "default"
FILE, FOLDER_OF_OTHERS = "chat_template.jinja", "additional_chat_templates"
# One template, or several by name; nothing if there is none.
Templates = str | Mapping[str, str] | None


def read_templates(folder: Path) -> dict[str, str]:
    """The chat templates of a folder by name; files stand for those that settings hold.

    Raises:
        SpecError: A file cannot be read.
    """
    files = {DEFAULT: folder / FILE} if (folder / FILE).is_file() else {}
    files |= {file.stem: file for file in sorted((folder / FOLDER_OF_OTHERS).glob("*.jinja"))}
    if files:
        return {name: read_template(file) for name, file in files.items()}
    settings = folder / TOKENIZER_SETTINGS[0]
    template = read_model_json(settings, "tokenizer settings").get("chat_template") if settings.is_file() else None
    return _by_name(template)


def read_template(path: Path) -> str:
    """The text of a chat template.

    Raises:
        SpecError: There is none.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise SpecError(
            f"A chat template was expected at {path}, and no text can be read there; check the path."
        ) from None


def digest_templates(templates: Templates) -> str:
    """Digest of chat templates, the same whether they lie in files or in memory; empty if there are none."""
    by_name = _by_name(templates)
    if by_name.keys() <= {DEFAULT}:
        return digest_of(by_name[DEFAULT]) if by_name else ""
    return digest_of(sorted(by_name.items()))


def _by_name(templates: Any) -> dict[str, str]:
    if not templates:
        return {}
    if isinstance(templates, str):
        return {DEFAULT: templates}
    if isinstance(templates, list):
        return {entry["name"]: entry["template"] for entry in templates}
    return dict(templates)
