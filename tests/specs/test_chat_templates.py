"""Chat templates of a folder are those that transformers reads, and have one digest in files and in memory."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from pytest_kdmem.errors import SpecError
from pytest_kdmem.specs.chat_templates import digest_templates, read_template, read_templates
from tests.corpus.chat_layouts import CHATML, LLAMA, write_tokenizer

SEVERAL = {"default": CHATML, "tool_use": LLAMA}


@pytest.mark.parametrize("template", [None, CHATML, SEVERAL], ids=["none", "one", "several"])
@pytest.mark.parametrize("is_in_settings", [False, True], ids=["files", "settings"])
def test_templates_are_those_of_transformers(tmp_path, sentences, template, is_in_settings):
    folder = write_tokenizer(tmp_path, sentences, None)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = template
    if is_in_settings and template:
        named = [{"name": name, "template": text} for name, text in SEVERAL.items()]
        file = folder / "tokenizer_config.json"
        content = json.loads(file.read_text()) | {"chat_template": template if template == CHATML else named}
        file.write_text(json.dumps(content))
    else:
        tokenizer.save_pretrained(folder)
    read = AutoTokenizer.from_pretrained(folder).chat_template
    assert read == template
    assert digest_templates(read_templates(folder)) == digest_templates(read)
    assert bool(digest_templates(read)) == (template is not None)


def test_files_stand_for_settings(tmp_path, sentences):
    folder = write_tokenizer(tmp_path, sentences, CHATML)
    file = folder / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"chat_template": LLAMA}))
    assert AutoTokenizer.from_pretrained(folder).chat_template == CHATML
    assert read_templates(folder) == {"default": CHATML}


def test_a_file_that_is_no_text_is_named(tmp_path: Path):
    (tmp_path / "a.jinja").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(SpecError, match=r"A chat template was expected at .*a\.jinja, and no text can be read there"):
        read_template(tmp_path / "a.jinja")
