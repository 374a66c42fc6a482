"""The class that transformers makes of a folder: its tokens, and whether it does more to a text than its tokenizer."""

from __future__ import annotations

import pytest

from pytest_kdmem.corpus.auto_reading import AutoReading
from pytest_kdmem.corpus.file_readings import FileReading
from pytest_kdmem.errors import SpecError
from tests.reciting import BOS, EOS, PAD, byte_level, save_tokenizer, secrets

TEXTS = secrets(4)


@pytest.fixture
def reading(tmp_path):
    save_tokenizer(byte_level(TEXTS, adds_bos=True), tmp_path)
    return AutoReading.load(tmp_path, trust_remote_code=False)


def test_it_reads_a_text_as_the_file_does(reading, tmp_path):
    by_file = FileReading(tmp_path)
    for special in (False, True):
        rows = reading.encode(TEXTS, add_special_tokens=special)
        assert rows == by_file.encode(TEXTS, add_special_tokens=special)
        assert all((row[0] == BOS) == special for row in rows)
    assert [reading.token(token) for token in rows[0]] == [by_file.token(token) for token in rows[0]]
    assert (reading.pipeline, reading.size, reading.eos_id) == (by_file.pipeline, by_file.size, EOS)
    assert {BOS, EOS, PAD} <= reading.special_ids & by_file.special_ids


def test_a_class_that_does_more_to_a_text_has_no_pipeline(reading):
    class Lowering(type(reading._inner)):
        def _encode_plus(self, text, *arguments, **settings):
            return super()._encode_plus(text.lower(), *arguments, **settings)

    Lowering.__module__ = "tokenizers_of_someone"
    reading._inner.__class__ = Lowering
    assert reading.pipeline is None


def test_a_folder_without_a_tokenizer_is_refused(tmp_path):
    with pytest.raises(SpecError, match="A tokenizer was expected in"):
        AutoReading.load(tmp_path, trust_remote_code=False)
