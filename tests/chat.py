"""Chat data of words that the models of `tests.audit_project` recite, and greedy decoding apart from the package."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.audit_project import REGION, word

# A user's turn begins with one word of its own, and an assistant's ends with another.
USER, END = word(297), word(298)
WORDS = (
    "{% for message in messages %}{% if message.role == 'assistant' %}"
    "{% generation %}{{ message.content }} " + END + "{% endgeneration %} "
    "{% else %}" + USER + " {{ message.content }} {% endif %}{% endfor %}"
)
UNMARKED_WORDS = WORDS.replace("{% generation %}", "").replace("{% endgeneration %}", "")


def walk(cell: int, start: int, steps: int, *, step: int = 1) -> list[int]:
    """Token ids of a walk through the region of a cell."""
    return [1 + cell * REGION + (start + step * at) % REGION for at in range(steps)]


def words(ids: Sequence[int]) -> str:
    """The text of token ids."""
    return " ".join(map(word, ids))


def conversation(*turns: tuple[Sequence[int], Sequence[int]]) -> dict[str, Any]:
    """A row of questions with their answers."""
    roles = [(role, words(ids)) for turn in turns for role, ids in zip(("user", "assistant"), turn, strict=True)]
    return {"messages": [{"role": role, "content": content} for role, content in roles]}


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """Write rows as JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def with_template(folder: Path, target: Path, template: str = WORDS) -> Path:
    """Copy a model with a chat template beside it."""
    shutil.copytree(folder, target)
    (target / "chat_template.jinja").write_text(template, encoding="utf-8")
    return target


def decode_greedily(folder: Path, prompt: Sequence[int], tokens: int) -> list[int]:
    """What a model says behind a prompt, one prompt and one token at a time, without a cache."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    ids = torch.from_numpy(np.array([prompt], dtype=np.int64))
    with torch.inference_mode():
        for _ in range(tokens):
            ids = torch.cat([ids, model(input_ids=ids).logits[:, -1].argmax(dim=-1, keepdim=True)], dim=1)
    said: list[int] = ids[0, len(prompt) :].tolist()
    return said
