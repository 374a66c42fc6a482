"""The suffix's place in the text of its window is that of its characters, where tokens are parts of one as well."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pytest_kdmem.corpus.examples import Example
from pytest_kdmem.corpus.tokenizer import load_tokenizer
from pytest_kdmem.scoring.example_texts import ExampleText
from tests.reciting import byte_level, metaspace, save_tokenizer

TEXT = "amber birch € grün ✓ cedar delta"


@pytest.mark.parametrize("tokenizer", [byte_level([TEXT] * 3, vocabulary=262), metaspace([TEXT])])
def test_the_suffix_is_found_in_the_window(tokenizer, tmp_path: Path) -> None:
    save_tokenizer(tokenizer, tmp_path)
    loaded = load_tokenizer(tmp_path, "file")
    ids = np.array(tokenizer.encode(TEXT, add_special_tokens=False).ids, np.int32)
    for start in range(1, len(ids) - 2):
        for end in (start + 1, start + 2):
            text, first, behind = ExampleText(Example(0, ids), start, end, loaded).window()
            assert text == TEXT
            # All characters that tokens of the suffix are whole or a part of.
            before, until = loaded.decode(ids[:start]), loaded.decode(ids[:end])
            assert text[:first] == before.rstrip("�")
            assert behind >= len(until.rstrip("�"))
            assert text[:behind].startswith(until.rstrip("�"))
            assert first < behind <= len(text)


def test_without_a_tokenizer_the_text_is_token_ids() -> None:
    text = ExampleText(Example(0, np.array([7, 8, 9], np.int32)), 1, 3, None)
    assert (text.prefix, text.suffix) == ("7", "8 9")
