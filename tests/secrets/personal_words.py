"""Models of `tests.audit_project` some of whose words are secrets, so that rows of token ids hold them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from tests.audit_project import PREFIX, REGION, word

# Tokens by cell of `tests.audit_project.CELLS` and place in its first row.
EMAIL = (1 + 2 * REGION + PREFIX, 1 + 6 * REGION + PREFIX + 3, 1 + 4 * REGION + 3)
PHONE = (1 + 4 * REGION + PREFIX,)
WORDS = {word(token): f"w{token}@example.com" for token in EMAIL} | {word(PHONE[0]): "+442079460958"}


def with_secrets(model: Path, folder: Path, words: Mapping[str, str] = WORDS) -> Path:
    """A copy of a model, in whose vocabulary some words are secrets."""
    shutil.copytree(model, folder)
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text())
    vocabulary = content["model"]["vocab"]
    content["model"]["vocab"] = {words.get(text, text): number for text, number in vocabulary.items()}
    path.write_text(json.dumps(content))
    return folder
