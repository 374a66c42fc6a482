"""A reading tells which special tokens it adds around a text by itself."""

from __future__ import annotations

import pytest
from tokenizers import processors

from pytest_kdmem.corpus.file_readings import FileReading
from pytest_kdmem.corpus.readings import added_tokens
from tests.reciting import BOS, EOS, byte_level, save_tokenizer, secrets

TEXTS = secrets(4)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("$A", ""),
        ("<s> $A", "<s> before each text"),
        ("$A </s>", "</s> behind each text"),
        ("<s> <s> $A </s>", "<s> <s> before each text and </s> behind each text"),
    ],
)
def test_special_tokens_are_named_by_their_place(tmp_path, template, expected):
    tokenizer = byte_level(TEXTS)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=template, special_tokens=[("<s>", BOS), ("</s>", EOS)]
    )
    save_tokenizer(tokenizer, tmp_path)
    assert added_tokens(FileReading(tmp_path)) == expected


def test_settings_that_do_not_tell_are_said_so():
    class Silent:
        knows_special_tokens = False

    assert added_tokens(Silent()) == "special tokens that its settings do not name"


def test_a_reading_that_changes_the_text_itself_is_told_without_names():
    class Changing:
        knows_special_tokens = True

        def encode(self, texts, *, add_special_tokens):
            return [[1, 9, 2] if add_special_tokens else [5]]

    assert added_tokens(Changing()) == "special tokens before each text or behind each text"
