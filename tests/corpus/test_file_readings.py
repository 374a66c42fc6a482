"""A tokenizer.json by itself: its tokens, its special tokens, its settings."""

from __future__ import annotations

import json

import pytest

from pytest_kdmem.corpus.auto_reading import AutoReading
from pytest_kdmem.corpus.file_readings import FileReading, tokenizer_settings
from pytest_kdmem.errors import SpecError
from tests.reciting import BOS, EOS, PAD, byte_level, save_tokenizer, secrets

TEXTS = secrets(4)


@pytest.fixture
def folder(tmp_path):
    save_tokenizer(byte_level(TEXTS, adds_bos=True), tmp_path)
    return tmp_path


def test_file_and_class_read_a_text_alike(folder):
    file_reading, auto_reading = FileReading(folder), AutoReading(folder, trust_remote_code=False)
    for special in (False, True):
        rows = file_reading.encode(TEXTS, add_special_tokens=special)
        assert rows == auto_reading.encode(TEXTS, add_special_tokens=special)
        assert all((row[0] == BOS) == special for row in rows)
    [row] = file_reading.encode(TEXTS[:1], add_special_tokens=False)
    assert [file_reading.token(token) for token in row] == [auto_reading.token(token) for token in row]
    assert file_reading.pipeline == auto_reading.pipeline
    assert file_reading.size == auto_reading.size
    assert {BOS, EOS, PAD} <= file_reading.special_ids & auto_reading.special_ids


def test_a_cut_that_was_saved_is_none_of_training(folder):
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text())
    content["truncation"] = {"max_length": 3, "stride": 0, "strategy": "LongestFirst", "direction": "Right"}
    path.write_text(json.dumps(content))
    assert len(FileReading(folder).encode(TEXTS[:1], add_special_tokens=True)[0]) > 3


@pytest.mark.parametrize("reading", [FileReading, lambda folder: AutoReading(folder, trust_remote_code=False)])
def test_a_damaged_file_is_refused_in_one_sentence(folder, reading):
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(SpecError, match=r"A tokenizer was expected in .* could not be loaded") as caught:
        reading(folder)
    assert "\n" not in str(caught.value)


def test_settings_of_the_tokenizer_go_before_those_of_the_special_tokens(tmp_path):
    (tmp_path / "special_tokens_map.json").write_text('{"eos_token": "a", "bos_token": "b"}')
    (tmp_path / "tokenizer_config.json").write_text('{"eos_token": "c"}')
    assert tokenizer_settings(tmp_path) == {"eos_token": "c", "bos_token": "b"}
    assert tokenizer_settings(tmp_path / "none") == {}
