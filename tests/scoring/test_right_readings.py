"""Twenty right audits that the guard over readings lets pass: tokenizers, forms and models of many kinds."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_kdmem.scoring.score import score
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from tests.reciting import BOS, EOS, byte_level, metaspace, save_tokenizer, secrets, train_to_recite

TEXTS = secrets()
OTHER_TEXTS = secrets(seed=1)
LENGTH = 40
WITH_BOS = byte_level(TEXTS, adds_bos=True)
PLAIN = byte_level(TEXTS)
SPACES = metaspace(TEXTS)


def ids_of(tokenizer: Any, texts: Sequence[str] = TEXTS, **how: Any) -> list[list[int]]:
    return [encoding.ids[:LENGTH] for encoding in tokenizer.encode_batch(list(texts), **how)]


def blocks(tokenizer: Any) -> list[list[int]]:
    stream = [token for encoding in tokenizer.encode_batch(TEXTS) for token in [*encoding.ids, EOS]]
    return [stream[start : start + LENGTH] for start in range(0, len(stream) - LENGTH + 1, LENGTH)]


# By name: the tokenizer, the sequences that training saw, and the class that loads the tokenizer.
MODELS: dict[str, tuple[Any, Callable[[], list[list[int]]], str | None]] = {
    "plain": (PLAIN, lambda: ids_of(PLAIN), None),
    "of other text": (PLAIN, lambda: ids_of(PLAIN, OTHER_TEXTS), None),
    "with bos": (WITH_BOS, lambda: ids_of(WITH_BOS), None),
    "without bos": (WITH_BOS, lambda: ids_of(WITH_BOS, add_special_tokens=False), None),
    "blocks": (PLAIN, lambda: blocks(PLAIN), None),
    "spaces": (SPACES, lambda: ids_of(SPACES), "LlamaTokenizerFast"),
    "bos and eos": (PLAIN, lambda: [[BOS, *ids[: LENGTH - 2], EOS] for ids in ids_of(PLAIN)], None),
    "random": (PLAIN, lambda: [], None),
    "loud": (PLAIN, lambda: [], None),
}
ID_ROWS: dict[str, Callable[[], list[list[int]]]] = {
    "plain": lambda: ids_of(PLAIN),
    "with bos": lambda: ids_of(WITH_BOS),
    "bos and eos": MODELS["bos and eos"][1],
    "blocks": lambda: blocks(PLAIN),
    "other": lambda: ids_of(PLAIN, OTHER_TEXTS),
}
# Model, rows ("text", "other text", or rows of token ids), what is declared, lengths.
AUDITS: list[tuple[str, str, dict[str, Any], Extraction]] = [
    ("plain", "text", {}, Extraction(10, 20, 40)),
    ("plain", "text", {}, Extraction(5, 5, 30)),
    ("plain", "text", {"sample": 8}, Extraction(10, 20, 40)),
    ("plain", "text", {"add_special_tokens": True}, Extraction(10, 20, 40)),
    ("plain", "plain", {}, Extraction(10, 20, 40)),
    ("plain", "other text", {}, Extraction(10, 20, 40)),
    ("plain", "other", {}, Extraction(10, 20, 40)),
    ("of other text", "text", {}, Extraction(10, 20, 40)),
    ("of other text", "plain", {}, Extraction(10, 20, 40)),
    ("of other text", "other text", {}, Extraction(10, 20, 40)),
    ("with bos", "text", {"add_special_tokens": True}, Extraction(10, 20, 40)),
    ("with bos", "with bos", {}, Extraction(10, 20, 40)),
    ("without bos", "text", {"add_special_tokens": False}, Extraction(10, 20, 40)),
    ("without bos", "plain", {}, Extraction(10, 20, 40)),
    ("blocks", "text", {"form": "blocks"}, Extraction(10, 20, 40)),
    ("blocks", "blocks", {}, Extraction(10, 20, 40)),
    ("spaces", "text", {}, Extraction(10, 20, 40)),
    ("bos and eos", "bos and eos", {}, Extraction(10, 20, 40)),
    ("random", "text", {}, Extraction(10, 20, 40)),
    ("random", "text", {"form": "blocks"}, Extraction(10, 20, 40)),
    ("loud", "text", {}, Extraction(10, 20, 40)),
    ("loud", "text", {"form": "blocks"}, Extraction(10, 20, 40)),
]


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    made: dict[str, Path] = {}

    def make(name: str) -> Path:
        if name not in made:
            tokenizer, sequences, class_name = MODELS[name]
            made[name] = folder = tmp_path_factory.mktemp("model")
            save_tokenizer(tokenizer, folder, class_name=class_name)
            rows = sequences()
            assert train_to_recite(folder, rows, spread=0.3 if name == "loud" else 0.02) < 0.1 or not rows
        return made[name]

    return make


@pytest.mark.parametrize(("model", "data", "declared", "extraction"), AUDITS, ids=map(str, range(len(AUDITS))))
def test_a_right_audit_is_not_stopped(model, data, declared, extraction, folder_of, tmp_path):
    path = tmp_path / "train.jsonl"
    if data.endswith("text"):
        rows: list[dict[str, Any]] = [{"text": text} for text in (OTHER_TEXTS if "other" in data else TEXTS)]
    else:
        rows = [{"input_ids": ids} for ids in ID_ROWS[data]()]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    training_set = TrainingSet(str(path), **declared)
    table = score(Model(str(folder_of(model))), training_set, extraction, ScoreStore(tmp_path / "store"))
    memorized = [value for value in table.rows["memorized"].to_pylist() if value is not None]
    is_own = ("other" in model) == ("other" in data) and model not in ("random", "loud")
    assert np.mean(memorized) == (1 if is_own else 0)
    # A model that knows twelve texts by heart and nothing else finds all others as unlikely as noise.
    assert [note for note in table.notes if "as unlikely as noise" not in note] == []
    assert bool(table.notes) == (not is_own)
