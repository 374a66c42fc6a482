"""A training set of rows, read as declared and in every other way."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_kdmem.corpus.other_blocks import pack_otherwise
from pytest_kdmem.corpus.other_readings import OtherReading, read_otherwise
from pytest_kdmem.corpus.reading_source import Source
from pytest_kdmem.corpus.tokenizer import load_tokenizer
from pytest_kdmem.specs.declared import Extraction, TrainingSet
from pytest_kdmem.specs.other_readings import READINGS
from tests.corpus.any_checkpoint import checkpoint_of
from tests.reciting import BOS, EOS, byte_level, save_tokenizer, secrets

TEXTS = secrets(40)
LENGTHS = Extraction(10, 20, 40)


def texts(count: int = 40) -> list[dict[str, Any]]:
    return [{"text": text} for text in TEXTS[:count]]


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., tuple[tuple[np.ndarray, ...], dict[str, OtherReading]]]:
    """The sequences of rows as read, and their other readings by name."""

    def read(rows: list[dict[str, Any]], *, adds_bos: bool = False, **declared: Any) -> Any:
        save_tokenizer(byte_level(TEXTS, adds_bos=adds_bos), tmp_path)
        (tmp_path / "config.json").write_text(json.dumps({"bos_token_id": BOS, "eos_token_id": EOS}))
        path = tmp_path / "train.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        source = Source(TrainingSet(str(path), **declared), load_tokenizer(tmp_path), checkpoint_of(tmp_path), LENGTHS)
        ways = read_otherwise if source.training_set.form == "documents" else pack_otherwise
        as_read, readings = ways(source, source.documents())
        assert {reading.name for reading in readings} <= READINGS.keys()
        return as_read, {reading.name: reading for reading in readings}

    return read
