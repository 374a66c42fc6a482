"""TRL trains with LoRA, and the callback's figures are those of the unmerged model over the rows that TRL made."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import PreTrainedTokenizerFast
from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

from pytest_kdmem import Extraction, MemorizationCallback, SpecError, TrainingSet
from tests.reciting import BOS, byte_level, secrets
from tests.tracking.trainings import GreedyLoop, recited, tiny_model

TEXTS = secrets(8)
LENGTHS = Extraction(8, 8, 16)
RATE = "kdmem/student/memorization_rate"
LAYERS = ["query_key_value", "dense_h_to_4h", "dense_4h_to_h"]


def tokenizer_of(*, adds_bos: bool = False):
    return PreTrainedTokenizerFast(
        tokenizer_object=byte_level(TEXTS, adds_bos=adds_bos),
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
    )


def write_texts(folder, **settings):
    path = folder / "train.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in TEXTS))
    return TrainingSet(path, **settings)


def sft(folder, tokenizer, *callbacks, adapter=None, **settings):
    defaults = {
        "output_dir": str(folder / "out"),
        "max_steps": 40,
        "per_device_train_batch_size": 8,
        "learning_rate": 1e-2,
        "lr_scheduler_type": "constant",
        "report_to": [],
        "disable_tqdm": True,
        "logging_steps": 10,
        "save_strategy": "no",
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
    }
    return SFTTrainer(
        model=tiny_model(vocab_size=400, hidden_size=64),
        args=SFTConfig(**(defaults | settings)),
        train_dataset=Dataset.from_dict({"text": TEXTS}),
        processing_class=tokenizer,
        peft_config=adapter,
        callbacks=list(callbacks),
    )


def trained_rows(trainer) -> np.ndarray:
    """What TRL trains on, as far as it is scored."""
    return np.array([row[: LENGTHS.scored_tokens] for row in trainer.train_dataset["input_ids"]], dtype=np.int32)


@pytest.mark.parametrize("adds_bos", [False, True], ids=["", "with BOS"])
def test_figures_of_an_adapter_are_those_of_the_unmerged_model(tmp_path, adds_bos):
    adapter = LoraConfig(r=16, lora_alpha=64, target_modules=LAYERS, modules_to_save=["lm_head", "embed_in"])
    tokenizer = tokenizer_of(adds_bos=adds_bos)
    training_set = write_texts(tmp_path, add_special_tokens=adds_bos)
    callback = MemorizationCallback(training_set, every=10, extraction=LENGTHS)
    trainer = sft(tmp_path, tokenizer, callback, adapter=adapter)
    rows = trained_rows(trainer)
    assert (rows[:, 0] == BOS).all() == adds_bos
    loop = GreedyLoop(rows, 10)
    trainer.add_callback(loop)
    trainer.train()
    logged = {entry["step"]: entry[RATE] for entry in trainer.state.log_history if RATE in entry}
    assert logged == {step: count / len(rows) for step, count in loop.counts.items()}
    assert loop.counts[0] == 0
    assert loop.counts[40] > 2
    # `generate` of the very model, which peft has not merged, says the same.
    model = trainer.model.eval()
    prefixes = torch.from_numpy(rows[:, : LENGTHS.prefix_tokens].astype(np.int64))
    said = model.generate(
        input_ids=prefixes,
        attention_mask=torch.ones_like(prefixes),
        do_sample=False,
        max_new_tokens=8,
        min_new_tokens=8,
    )
    assert int((said.numpy() == rows).all(axis=1).sum()) == loop.counts[40]
    # TRL's own figures stay in TRL's own lines.
    assert all(set(entry) <= {RATE, f"{RATE}_low", f"{RATE}_high", "epoch", "step"} for entry in history_of(trainer))
    assert sum("mean_token_accuracy" in entry for entry in trainer.state.log_history) >= 4


def history_of(trainer):
    return [entry for entry in trainer.state.log_history if RATE in entry]


def test_a_forgotten_bos_is_refused(tmp_path):
    """TRL calls the tokenizer as it is, which adds BOS, and the set is declared without."""
    callback = MemorizationCallback(write_texts(tmp_path, add_special_tokens=False), every="end", extraction=LENGTHS)
    with pytest.raises(SpecError, match="the rows have a token before its examples, such as BOS; declare add_special"):
        sft(tmp_path, tokenizer_of(adds_bos=True), callback).train()


def test_a_bos_that_training_lacks_is_refused(tmp_path):
    callback = MemorizationCallback(write_texts(tmp_path, add_special_tokens=True), every="end", extraction=LENGTHS)
    trainer = sft(tmp_path, tokenizer_of(adds_bos=True), callback)
    trainer.train_dataset = trainer.train_dataset.map(lambda row: {"input_ids": row["input_ids"][1:]})
    with pytest.raises(SpecError, match="examples begin with a token that the rows lack, such as BOS"):
        trainer.train()


def test_an_undeclared_bos_is_asked_for(tmp_path):
    callback = MemorizationCallback(write_texts(tmp_path), every="end", extraction=LENGTHS)
    with pytest.raises(SpecError, match="declare add_special_tokens=True if training called the tokenizer as it is"):
        sft(tmp_path, tokenizer_of(adds_bos=True), callback).train()


def test_a_set_of_another_tokenizer_is_refused(tmp_path):
    """Its ids lie in the vocabulary, but training never has them."""
    other = byte_level([text.upper() for text in TEXTS])
    np.save(tmp_path / "ids.npy", np.array([other.encode(text).ids[:16] for text in TEXTS], dtype=np.int32))
    callback = MemorizationCallback(TrainingSet(tmp_path / "ids.npy"), every="end", extraction=LENGTHS)
    trainer = sft(tmp_path, tokenizer_of(), callback)
    with pytest.raises(SpecError, match="the rows hold none of 8 examples of it; declare the set, and how it is read"):
        trainer.train()
    assert trainer.state.global_step == 0


def test_packed_rows_are_those_of_the_set(tmp_path):
    callback = MemorizationCallback(write_texts(tmp_path), every="end", extraction=LENGTHS)
    trainer = sft(
        tmp_path, tokenizer_of(), callback, packing=True, max_length=256, max_steps=2, packing_strategy="wrapped"
    )
    trainer.train()
    assert list(callback.rates) == [0, 2]


def test_a_dpo_trainer_measures_its_model(tmp_path):
    """Its rows are pairs of answers under other names, which are not held against the set."""
    callback = MemorizationCallback(write_texts(tmp_path), every="end", extraction=LENGTHS)
    rows = {"prompt": TEXTS[:4], "chosen": [" yes"] * 4, "rejected": [" no"] * 4}
    trainer = DPOTrainer(
        model=tiny_model(vocab_size=400),
        ref_model=tiny_model(vocab_size=400),
        args=DPOConfig(
            output_dir=str(tmp_path / "out"),
            max_steps=2,
            per_device_train_batch_size=2,
            report_to=[],
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            save_strategy="no",
        ),
        train_dataset=Dataset.from_dict(rows),
        processing_class=tokenizer_of(),
        callbacks=[callback],
    )
    trainer.train()
    ids = np.array([tokenizer_of()(text)["input_ids"][:16] for text in TEXTS], dtype=np.int32)
    assert callback.rates[2].k == recited(trainer.model, ids, LENGTHS)
    assert list(callback.rates) == [0, 2]
