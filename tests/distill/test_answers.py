"""A model is trained on the answers of conversations alone: the loss of no prompt counts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

from pytest_kdmem.corpus.examples import stream_examples
from pytest_kdmem.corpus.tokenizer import load_tokenizer
from pytest_kdmem.distill.batches import Collator
from pytest_kdmem.distill.job import DeclaredJob, open_job
from pytest_kdmem.distill.loss_forward import CROSS_ENTROPY, forward_returns_loss
from pytest_kdmem.distill.recipe import Recipe
from pytest_kdmem.distill.run import distill
from pytest_kdmem.specs.chat_templates import digest_templates
from pytest_kdmem.specs.declared import Extraction, Model, TrainingSet
from pytest_kdmem.specs.run_card import ChatTraining, read_run_card
from tests.chat import UNMARKED_WORDS, WORDS, conversation, walk, with_template, write_rows

ROWS = [
    conversation((walk(2, 3, 2), walk(2, 5, 12))),
    conversation((walk(0, 3, 9), walk(0, 12, 7))),
    conversation((walk(7, 3, 5), walk(7, 1, 3)), (walk(4, 20, 4), walk(4, 24, 9))),
]
LENGTHS = Extraction(2, 3, 24)


@pytest.fixture
def chat_model(cast, tmp_path) -> Path:
    return with_template(cast.student, tmp_path / "model")


def trl_batch(folder: Path) -> dict[str, torch.Tensor]:
    """A batch of two rows as TRL collates it."""
    from datasets import Dataset
    from transformers import AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    trainer = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(folder),
        args=SFTConfig(output_dir=str(folder / "out"), report_to="none", use_cpu=True, assistant_only_loss=True),
        train_dataset=Dataset.from_list(ROWS[:2]),
        processing_class=AutoTokenizer.from_pretrained(folder, pad_token="<|endoftext|>"),
    )
    batch: dict[str, torch.Tensor] = trainer.data_collator([trainer.train_dataset[at] for at in range(2)])
    return batch


def test_loss_and_gradients_are_those_of_trl(chat_model, tmp_path):
    data = TrainingSet(write_rows(tmp_path / "rows.jsonl", ROWS[:2]))
    examples = stream_examples(data, load_tokenizer(chat_model), LENGTHS)
    batch = Collator()([{"input_ids": e.ids, "prompt_tokens": e.prefix_tokens} for e in examples])
    theirs = trl_batch(chat_model)
    model = AutoModelForCausalLM.from_pretrained(chat_model, dtype=torch.float32)
    expected = model(**{name: theirs[name] for name in ("input_ids", "attention_mask", "labels")}).loss
    expected.backward()
    gradients = {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}
    model.zero_grad()
    with forward_returns_loss(model.train(), CROSS_ENTROPY):
        loss = model(input_ids=batch["input_ids"], labels=batch["labels"]) / (batch["labels"] != -100).sum()
    loss.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    for name, gradient in gradients.items():
        torch.testing.assert_close(dict(model.named_parameters())[name].grad, gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "settings",
    [
        {"mode": "baseline"},
        {"mode": "soft", "packing": True},
        {"mode": "soft", "teacher_top_k": 5},
        {"mode": "hard"},
        {"mode": "on-policy"},
    ],
    ids=str,
)
def test_every_way_of_training_takes_conversations(chat_model, tmp_path, settings):
    data = TrainingSet(write_rows(tmp_path / "rows.jsonl", ROWS))
    model = Model(str(chat_model))
    recipe = Recipe(epochs=1, batch_size=2, precision="float32", **settings)
    teacher = None if settings["mode"] == "baseline" else model
    trained = distill(recipe, init=model, teacher=teacher, training_set=data, out=tmp_path / "out", extraction=LENGTHS)
    card = read_run_card(Path(trained.source))
    assert card.training_set.examples == 4
    assert card.chat == ChatTraining(digest_templates(WORDS), "the tokenizer", "assistant")
    assert np.isfinite([loss for _, loss in card.loss_curve]).all()


def test_another_template_trains_another_model(chat_model, tmp_path):
    data = TrainingSet(write_rows(tmp_path / "rows.jsonl", ROWS))
    declared = DeclaredJob(Recipe("baseline"), Model(str(chat_model)), data, None, None, LENGTHS)
    digest = open_job(declared, offline=True).digest
    (chat_model / "chat_template.jinja").write_text(UNMARKED_WORDS)
    of_other = open_job(declared, offline=True).digest
    of_all = replace(declared, training_set=replace(data, chat_roles="all"))
    (tmp_path / "words.jinja").write_text(WORDS)
    of_file = replace(declared, training_set=replace(data, chat_template=tmp_path / "words.jinja"))
    assert len({digest, of_other, open_job(of_all, offline=True).digest}) == 3
    assert open_job(of_file, offline=True).digest == digest
