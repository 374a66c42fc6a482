"""The guard over readings of conversations: models that recite answers, read behind other prompts than in training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_kdmem.errors import SpecError
from pytest_kdmem.scoring.score import score
from pytest_kdmem.scoring.store import ScoreStore
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.runtime import RunSettings
from tests.chat import write_rows
from tests.corpus.chat_layouts import CHATML
from tests.reciting import byte_level, save_tokenizer, secrets, train_to_recite

LENGTHS = Extraction(10, 20, 120)
TEXTS = secrets(16, 10)
ROWS = [
    {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}
    for question, answer in zip(TEXTS[:8], TEXTS[8:], strict=True)
]
PAIRS = [dict(zip(("prompt", "completion"), pair, strict=True)) for pair in zip(TEXTS[:8], TEXTS[8:], strict=True)]
HUMAN = (
    "{% for m in messages %}{{ 'Human: ' if m.role == 'user' else 'Assistant: ' }}"
    "{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{% endgeneration %}"
    "{% else %}{{ m.content }}{% endif %}"
    "{{ '\n\n' }}{% endfor %}{% if add_generation_prompt %}Assistant: {% endif %}"
)
INST = (
    "{% for m in messages %}{% if m.role == 'user' %}{{ '[INST] ' + m.content + ' [/INST]' }}{% else %}"
    "{% generation %}{{ m.content }}{% endgeneration %}{% endif %}{% endfor %}"
)
PLAIN = "{% for message in messages %}{{ message.content + '\n' }}{% endfor %}"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A model that recites the conversations by a template, made once for each."""
    from transformers import AutoTokenizer

    made: dict[str, Path] = {}

    def make(template: str) -> Path:
        if template not in made:
            folder = made[template] = tmp_path_factory.mktemp("chat")
            save_tokenizer(byte_level(TEXTS), folder)
            tokenizer = AutoTokenizer.from_pretrained(folder)
            ids = [tokenizer.apply_chat_template(r["messages"], chat_template=template)["input_ids"] for r in ROWS]
            assert train_to_recite(folder, ids, steps=150) < 0.2
        return made[template]

    return make


def read(folder: Path, template: str, work: Path, rows: list[dict[str, Any]] = ROWS, **settings: Any) -> float:
    """The share of answers that a model recites behind the prompts of a template."""
    (folder / "chat_template.jinja").write_text(template)
    data = TrainingSet(write_rows(work / "chat.jsonl", rows))
    store = ScoreStore(work / "store")
    table = score(Model(str(folder)), data, LENGTHS, store, settings=RunSettings(**settings), metrics="verdict")
    memorized = table.rows["memorized"].to_pylist()
    return memorized.count(True) / len(memorized)


def test_what_is_rendered_as_in_training_is_not_stopped(trained, tmp_path):
    assert read(trained(CHATML), CHATML, tmp_path) > 0.8


def test_answers_that_training_had_without_a_template_are_stopped(trained, tmp_path):
    for _ in range(2):  # with the losses computed, and with those that are stored
        with pytest.raises(SpecError, match=r"declare chat_template.*--kdmem-accept-reading chat-plain"):
            read(trained(PLAIN), CHATML, tmp_path)
    assert read(trained(PLAIN), CHATML, tmp_path, accept_reading="chat-plain") == 0


@pytest.mark.parametrize(
    ("trained_by", "read_by"),
    [(HUMAN, CHATML), (HUMAN, INST), (CHATML, HUMAN)],
    ids=["human as chatml", "human as inst", "chatml as human"],
)
def test_answers_that_training_had_by_another_template_are_stopped(trained, tmp_path, trained_by, read_by):
    with pytest.raises(SpecError, match=r"declare chat_template"):
        read(trained(trained_by), read_by, tmp_path)


def test_the_template_of_training_is_not_stopped(trained, tmp_path):
    # A space at the end of the header is a token of its own before the answer, but not in the whole conversation.
    assert read(trained(HUMAN), HUMAN, tmp_path) > 0


def test_pairs_that_training_had_by_a_template_are_stopped(trained, tmp_path):
    with pytest.raises(SpecError, match=r"declare chat_(columns|template)"):
        read(trained(CHATML), CHATML, tmp_path, PAIRS)
