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
        example = ExampleText(Example(0, ids), start, start + 1, loaded)
        text, first = example.window()
        assert text == TEXT
        # All characters that tokens of the prefix are the whole of.
        assert text[:first] == loaded.decode(ids[:start]).rstrip("�")
        assert example.tokens_before(first) == 0
        for character in range(first, len(text)):
            # With the first token of which a part is in the character, the text goes on to it at least.
            place = start + example.tokens_before(character)
            assert len(loaded.decode(ids[: place + 1])) > character
            assert place == start or len(loaded.decode(ids[:place])) <= character


def test_without_a_tokenizer_the_text_is_token_ids() -> None:
    text = ExampleText(Example(0, np.array([7, 8, 9], np.int32)), 1, 3, None)
    assert (text.prefix, text.suffix) == ("7", "8 9")
