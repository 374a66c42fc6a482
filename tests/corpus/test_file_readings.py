"""A tokenizer.json by itself: its tokens, its special tokens, its settings."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pytest_kdmem.corpus.file_readings import FileReading, tokenizer_settings
from pytest_kdmem.errors import SpecError
from tests.reciting import BOS, EOS, PAD, VOCABULARY, byte_level, save_tokenizer, secrets

TEXTS = secrets(4)


@pytest.fixture
def folder(tmp_path):
    save_tokenizer(byte_level(TEXTS, adds_bos=True), tmp_path)
    return tmp_path


def test_tokens_and_special_tokens_are_those_of_the_file(folder):
    reading = FileReading(folder)
    [plain], [full] = (reading.encode(TEXTS[:1], add_special_tokens=special) for special in (False, True))
    assert full == [BOS, *plain]
    assert reading.decode(np.array(plain)) == TEXTS[0]
    assert [reading.token(token) for token in (BOS, EOS, PAD, 10**6)] == ["<s>", "</s>", "<pad>", str(10**6)]
    assert {BOS, EOS, PAD} <= reading.special_ids
    assert (reading.eos_id, reading.size) == (EOS, VOCABULARY)


def test_a_cut_that_was_saved_is_none_of_training(folder):
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text())
    content["truncation"] = {"max_length": 3, "stride": 0, "strategy": "LongestFirst", "direction": "Right"}
    path.write_text(json.dumps(content))
    assert len(FileReading(folder).encode(TEXTS[:1], add_special_tokens=True)[0]) > 3


def test_a_damaged_file_is_refused_in_one_sentence(folder):
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(SpecError, match=r"A tokenizer was expected in .* could not be loaded") as caught:
        FileReading(folder)
    assert "\n" not in str(caught.value)


def test_settings_of_the_tokenizer_go_before_those_of_the_special_tokens(tmp_path):
    (tmp_path / "special_tokens_map.json").write_text('{"eos_token": "a", "bos_token": "b"}')
    (tmp_path / "tokenizer_config.json").write_text('{"eos_token": "c"}')
    assert tokenizer_settings(tmp_path) == {"eos_token": "c", "bos_token": "b"}
    assert tokenizer_settings(tmp_path / "none") == {}
