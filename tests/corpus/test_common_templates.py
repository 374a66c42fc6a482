"""What stands before an answer by common templates is what these templates render."""

from __future__ import annotations

from transformers.utils.chat_template_utils import render_jinja_template

from pytest_kdmem.corpus.common_templates import COMMON_TEMPLATES
from pytest_kdmem.specs.other_readings import READINGS
from tests.corpus.chat_layouts import CHATML

MESSAGES = [("user", "Who?"), ("assistant", "Ann."), ("user", "Why?")]


def test_chatml_is_what_transformers_renders() -> None:
    messages = [{"role": role, "content": text} for role, text in MESSAGES]
    [rendered], _ = render_jinja_template([messages], chat_template=CHATML, add_generation_prompt=True)
    assert rendered == COMMON_TEMPLATES["chat-chatml"](MESSAGES)


def test_names_stand_before_messages() -> None:
    assert COMMON_TEMPLATES["chat-human"](MESSAGES) == "Human: Who?\n\nAssistant: Ann.\n\nHuman: Why?\n\nAssistant: "
    assert COMMON_TEMPLATES["chat-llama-2"](MESSAGES) == "[INST] Who? [/INST]Ann.[INST] Why? [/INST]"


def test_each_can_be_accepted_by_its_name() -> None:
    assert READINGS.keys() >= COMMON_TEMPLATES.keys()
