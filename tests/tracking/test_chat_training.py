"""Run cards of trainings under TRL tell by which template, and with whose loss, conversations were learned."""

from __future__ import annotations

from pathlib import Path

import pytest
import trl
from datasets import Dataset
from transformers import AutoTokenizer
from trl import SFTConfig, SFTTrainer

from pytest_kdmem import Extraction, MemorizationCallback, TrainingSet
from pytest_kdmem.specs.chat_templates import digest_templates
from pytest_kdmem.specs.run_card import ChatTraining, read_run_card
from pytest_kdmem.tracking.chat_training import chat_of_trainer
from tests.chat import write_rows
from tests.corpus.chat_layouts import CHATML, without_marks, write_tokenizer
from tests.tracking.trainings import random_ids, tiny_model, trainer_of

SENTENCES = ["amber birch cedar delta ember fjord grove heath inlet juniper"] * 50
TURNS = [{"role": "user", "content": "amber birch?"}, {"role": "assistant", "content": "cedar delta ember fjord"}]
MESSAGES = [{"messages": TURNS}] * 2
PROMPTS = [{"prompt": TURNS[:1], "completion": TURNS[1:]}] * 2
PLAIN = [{"prompt": "amber birch?", "completion": " cedar delta"}] * 2
LENGTHS = Extraction(1, 4, 64)


def sft(folder: Path, rows, template, *callbacks, **settings):
    defaults = {"max_steps": 1, "save_strategy": "no", "report_to": [], "use_cpu": True, "bf16": False}
    defaults |= {"gradient_checkpointing": False, "disable_tqdm": True, "per_device_train_batch_size": 2}
    return SFTTrainer(
        model=tiny_model(vocab_size=420),
        args=SFTConfig(output_dir=str(folder / "out"), **(defaults | settings)),
        train_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(write_tokenizer(folder, SENTENCES, template)),
        callbacks=list(callbacks),
    )


@pytest.mark.parametrize(
    ("rows", "settings", "roles"),
    [
        (MESSAGES, {}, "all"),
        (MESSAGES, {"assistant_only_loss": True}, "assistant"),
        (PROMPTS, {}, "assistant"),
        (PROMPTS, {"completion_only_loss": False}, "all"),
    ],
)
def test_whose_tokens_were_learned_is_known_of_trl(tmp_path, rows, settings, roles):
    trainer = sft(tmp_path, rows, CHATML, **settings)
    training_set = TrainingSet(write_rows(tmp_path / "rows.jsonl", rows))
    chat = chat_of_trainer(trainer, training_set, trainer.processing_class, offline=True)
    assert chat == ChatTraining(digest_templates(CHATML), "the tokenizer", roles)
    labels = [label for row in trainer.train_dataset["labels"] for label in row]
    assert (-100 in labels) == (roles == "assistant")


def test_a_template_that_trl_put_in_the_place_of_the_tokenizers_is_named(tmp_path):
    templates = Path(trl.__file__).parent / "chat_templates"
    own, replacement = ((templates / f"{name}.jinja").read_text() for name in ("qwen3", "qwen3_training"))
    trainer = sft(tmp_path, MESSAGES, own, assistant_only_loss=True)
    training_set = TrainingSet(write_rows(tmp_path / "rows.jsonl", MESSAGES))
    chat = chat_of_trainer(trainer, training_set, trainer.processing_class, offline=True)
    expected = "SFTTrainer, which replaced the tokenizer's"
    assert chat == ChatTraining(digest_templates(replacement), expected, "assistant")
    (tmp_path / "own.jinja").write_text(replacement)
    declared = TrainingSet(training_set.source, chat_template=tmp_path / "own.jinja")
    chat = chat_of_trainer(trainer, declared, trainer.processing_class, offline=True)
    assert chat == ChatTraining(digest_templates(replacement), "the file own.jinja", "assistant")


def test_what_is_not_known_is_not_claimed(tmp_path):
    text = TrainingSet(write_rows(tmp_path / "text.jsonl", [{"text": "amber"}]))
    chat_set = TrainingSet(write_rows(tmp_path / "rows.jsonl", MESSAGES))
    other = trainer_of(tmp_path / "out", random_ids())
    assert chat_of_trainer(other, text, None, offline=True) is None
    assert chat_of_trainer(other, chat_set, None, offline=True) == ChatTraining("", "the tokenizer", None)
    plain = TrainingSet(write_rows(tmp_path / "plain.jsonl", PLAIN))
    trainer = sft(tmp_path, PLAIN, None)
    assert chat_of_trainer(trainer, plain, trainer.processing_class, offline=True) == ChatTraining(
        "", "no template", "assistant"
    )
    # Rows that were prepared before, with labels that leave tokens out.
    rows = [{"input_ids": [20, 21, 22], "labels": [-100, 21, 22]}] * 2
    prepared = sft(tmp_path, rows, CHATML)
    [roles] = {chat_of_trainer(prepared, chat_set, prepared.processing_class, offline=True).roles}
    assert roles is None


def test_the_card_beside_a_saved_model_tells(tmp_path):
    training_set = TrainingSet(write_rows(tmp_path / "rows.jsonl", MESSAGES))
    callback = MemorizationCallback(training_set, every="end", extraction=LENGTHS)
    trainer = sft(tmp_path, MESSAGES, without_marks(CHATML), callback, save_strategy="steps", save_steps=1)
    trainer.train()
    card = read_run_card(tmp_path / "out" / "checkpoint-1")
    assert card.chat == ChatTraining(digest_templates(without_marks(CHATML)), "the tokenizer", "all")
    assert card.recipe["assistant_only_loss"] is False
    assert card.recipe["packing"] is False
